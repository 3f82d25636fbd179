"""Manifests as their readers read them: YAML in which no key stands twice, changed copies, and their commands
as processes of this machine.
"""

import copy
import itertools
import os
import pathlib
import re
import subprocess
import sys

import yaml

CLUSTER = pathlib.Path(__file__).parents[2] / "cluster"


class _Once(yaml.CSafeLoader):
    """YAML in which a key that stands twice in a mapping is an error, as for kubectl, and not silently the
    last.
    """

    def construct_mapping(self, node, deep=False):
        own = [key.value for key, _ in node.value if key.tag != "tag:yaml.org,2002:merge"]
        twice = {key for key in own if own.count(key) > 1}
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{sorted(twice)} stand twice", node.start_mark)
        return super().construct_mapping(node, deep)


def documents(text):
    """The documents of a text in YAML, their anchors written out: no two places share a list."""
    return copy.deepcopy([_written_out(document) for document in yaml.load_all(text, _Once) if document is not None])


def _written_out(value):
    if isinstance(value, dict):
        return {key: _written_out(held) for key, held in value.items()}
    return [_written_out(held) for held in value] if isinstance(value, list) else value


def everywhere(value, path=""):
    """(path, mapping) of every mapping in a document."""
    if isinstance(value, dict):
        yield path, value
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    yield from itertools.chain.from_iterable(everywhere(held, f"{path}.{key}") for key, held in inside)


def changed(text, old, new):
    """A text with a mistake in it: the first `old` in place of which stands `new`."""
    assert old in text
    return text.replace(old, new, 1)


def substituted(words, names):
    """Words with $(NAME) as Kubernetes fills it in."""
    return [re.sub(r"\$\((\w+)\)", lambda found: names[found[1]], word) for word in words]


def process(command, environment, log, **options):
    """A container's command as a process here, with the image's programs on its PATH and little else of this
    process's environment.
    """
    kept = {name: os.environ[name] for name in ("GDSIM_CACHE_DIR", "XDG_CACHE_HOME", "PYTHONPATH") if name in os.environ}
    here = str(pathlib.Path(sys.executable).parent)
    settings = {**kept, "PATH": f"{here}:{os.environ['PATH']}", **environment}
    with open(log, "w") as out:
        return subprocess.Popen(command, env=settings, stdout=out, stderr=out, start_new_session=True, **options)
