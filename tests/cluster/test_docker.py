"""The files of cluster/docker: the image's requirements, the Dockerfile by hadolint, the compose file by its
schema, and what begins a run again.

No image is built here: that takes Docker and a registry. Containers' commands run as processes in
tests/cluster/test_commands.py.
"""

import json
import os
import pathlib
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tomllib

import pytest

from tests.cluster.manifests import CLUSTER, changed, documents, everywhere

packaging = pytest.importorskip("packaging.requirements", reason="packaging is not installed: pip install packaging")
WHY = "pip install -e '.[manifests]'"
FOLDER, ROOT = CLUSTER / "docker", CLUSTER.parent
DOCKERFILE, COMPOSE = (FOLDER / "Dockerfile").read_text(), (FOLDER / "compose.yaml").read_text()
REQUIREMENTS = (FOLDER / "requirements.txt").read_text()
UNTIL_DONE = FOLDER / "until-done.sh"


def pinned():
    """(name, version, hashes) of each requirement."""
    lines = re.sub(r"\\\n", " ", re.sub(r"^\s*#.*\n", "", REQUIREMENTS, flags=re.M)).splitlines()
    found = [(line.split(" --hash=")[0].strip(), re.findall(r"--hash=sha256:([0-9a-f]{64})(?=\s|$)", line)) for line in lines if line.strip()]
    return {name.lower(): (version, hashes) for text, hashes in found for name, version in [text.split(";")[0].strip().split("==")]}


def test_all_that_the_image_installs_is_pinned_by_hash_and_names_no_host():
    assert len(pinned()) > 20
    assert all(hashes for _, hashes in pinned().values())
    assert "://" not in REQUIREMENTS
    assert not re.search(r"--(extra-)?index|--find-links|--trusted", REQUIREMENTS)


def test_the_requirements_are_those_of_the_project():
    """Each that pyproject.toml names for a cluster's processes, in a version that it allows."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    named = [*project["project"]["dependencies"], *project["project"]["optional-dependencies"]["cluster"], *project["build-system"]["requires"]]
    for requirement in map(packaging.Requirement, named):
        assert requirement.name.lower() in pinned(), f"{requirement} is not in requirements.txt: {REQUIREMENTS.splitlines()[1]}"
        assert pinned()[requirement.name.lower()][0] in requirement.specifier


def hadolint(text):
    """What hadolint finds in a Dockerfile."""
    program = shutil.which("hadolint", path=f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}")
    if program is None:
        pytest.skip(f"hadolint is not installed: {WHY}")
    done = subprocess.run([program, "--no-color", "-"], input=text, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_hadolint_finds_nothing_in_the_dockerfile():
    assert hadolint(DOCKERFILE) == ""


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("python:3.11-slim-bookworm AS", "python AS", "DL3006"),
        ("RUN python", "RUN sudo python", "DL3004"),
        ("USER 10001:10001", "USER root", "DL3002"),
        ("WORKDIR /tmp", "WORKDIR tmp", "DL3000"),
        ("COPY", "COPPY", "unexpected"),
    ],
)
def test_hadolint_finds_a_planted_mistake(old, new, word):
    assert word in hadolint(changed(DOCKERFILE, old, new))


def test_what_the_image_copies_is_there_and_sent():
    """Each source lies in the repository, and is not ignored by the image's own .dockerignore, which ignores
    all that it does not name.
    """
    sources = [word for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, flags=re.M) for word in line.split()[:-1]]
    assert [s for s in sources if not (ROOT / s).exists()] == []
    ignored, *kept = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert ignored == "*"
    assert {f"!{s}" for s in sources} <= set(kept)
    assert os.access(UNTIL_DONE, os.X_OK)


def filled(text, environment):
    """A compose file with its parameters filled in, as Compose does: ${NAME:-default} and ${NAME:?what is
    missing}.
    """

    def value(found):
        name, kind, rest = found.groups()
        if kind == "?" and not environment.get(name):
            raise KeyError(f"{name}: {rest}")
        return environment.get(name) or rest or ""

    return re.sub(r"\$\{(\w+)(?::([-?])([^}]*))?\}", value, text)


def compose(text=COMPOSE, **environment):
    return documents(filled(text, {"GDSIM_USER": "1000:1000"} | environment))[0]


def compose_faults(text):
    checks = pytest.importorskip("check_jsonschema", reason=f"check-jsonschema is not installed: {WHY}")
    jsonschema = pytest.importorskip("jsonschema")
    schema = json.loads((pathlib.Path(checks.__file__).parent / "builtin_schemas/vendor/compose-spec.json").read_text())
    found = compose(text)
    faults = [f"{e.json_path}: {e.message}" for e in jsonschema.validators.validator_for(schema)(schema).iter_errors(found)]
    for name, service in found["services"].items():
        faults += [] if "image" in service or "build" in service else [f"{name} has no image"]
        faults += [f"{name}: there is no secret {s}" for s in service.get("secrets", []) if s not in found["secrets"]]
        faults += [f"{name}: there is no service {s}" for s in service.get("depends_on", {}) if s not in found["services"]]
        memory = str(service.get("deploy", {}).get("resources", {}).get("limits", {}).get("memory", "1g"))
        faults += [] if re.fullmatch(r"\d+[bkmg]?", memory) else [f"{name}: {memory} is no size"]
    return faults


def test_the_compose_file_is_right_by_its_schema():
    assert compose_faults(COMPOSE) == []


@pytest.mark.parametrize(
    ("old", "new", "word"),
    [
        ("services:", "servces:", "servces"),
        ("    command: [dask, scheduler", "    comand: [dask, scheduler", "comand"),
        ("replicas: ", "replica: ", "replica"),
        ("memory: ${GDSIM_MEMORY:-4g}", "memory: 16 gigs", "16 gigs"),
        ("condition: service_healthy", "condition: service_helthy", "service_helthy"),
        ("  image: gdsim:0.1.0\n", "", "no image"),
        ("secrets: [tls.crt, tls.key]", "secrets: [tls.crt, tls.kay]", "tls.kay"),
        ("init: true", "init: [true]", "init"),
        ("scheduler: {condition", "sheduler: {condition", "sheduler"),
        ("start_period:", "start:", "start"),
    ],
)
def test_a_planted_mistake_in_the_compose_file_is_found(old, new, word):
    try:
        found = " ".join(compose_faults(changed(COMPOSE, old, new)))
    except KeyError as error:
        found = f"{old}{new} {error}"
    assert word in found


def test_no_container_is_roots_and_only_the_dashboard_is_published_to_this_machine():
    services = compose()["services"]
    assert {s["user"] for s in services.values()} == {"1000:1000"}
    assert {s["image"] for s in services.values()} == {"gdsim:0.1.0"}
    assert all(s["cap_drop"] == ["ALL"] and s["read_only"] for s in services.values())
    assert [p for s in services.values() for p in s.get("ports", [])] == ["127.0.0.1:8787:8787"]
    with pytest.raises(KeyError, match="GDSIM_USER"):
        compose(GDSIM_USER="")


def test_compose_and_kubernetes_set_dask_alike():
    """The same settings but for where certificates lie, and for how long Kubernetes may take to move a
    scheduler.
    """
    maps = [d for d in documents((CLUSTER / "kubernetes" / "once.yaml").read_text()) if d["kind"] == "ConfigMap"]
    kubernetes = {name: value.replace("/tls/", "/run/secrets/") for name, value in maps[0]["data"].items()}
    assert kubernetes.pop("DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT") == "300s"
    for service in compose()["services"].values():
        assert service["environment"] == kubernetes | {"DASK_SCHEDULER_ADDRESS": "tls://scheduler:8786"}


def test_manifests_name_the_image_that_the_dockerfile_says_how_to_build():
    built = re.search(r"docker build -t (\S+)", DOCKERFILE)[1]
    files = [COMPOSE, *(f.read_text() for f in (CLUSTER / "kubernetes").glob("*.yaml"))]
    named = {m["image"] for text in files for d in documents(filled(text, {"GDSIM_USER": "1:1"})) for _, m in everywhere(d) if "image" in m}
    assert named == {built}


# A gdsim that ends with the codes it is given, one after another, and leaves a shard before each that is
# marked +.
GDSIM = """#!/bin/sh
echo "$@" >> {folder}/calls
count=$(wc -l < {folder}/calls)
word=$(echo "$PLANNED" | cut -d ' ' -f "$count")
case "$word" in *+) mkdir -p {folder}/out/shards && touch {folder}/out/shards/$count.parquet;; esac
[ "$word" = wait ] && {{ trap 'exit 130' TERM; echo ready; while true; do sleep 0.05; done; }}
exit "${{word%+}}"
"""


def until_done(folder, planned, *arguments, **options):
    (folder / "gdsim").write_text(GDSIM.format(folder=shlex.quote(str(folder))))
    (folder / "gdsim").chmod(0o755)
    settings = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}", "PLANNED": planned}
    return subprocess.Popen([UNTIL_DONE, *map(str, arguments)], env=settings, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


@pytest.mark.parametrize(
    ("planned", "code", "calls"),
    [
        ("0", 0, 1),
        ("2 0", 2, 1),
        ("4 0", 4, 1),
        ("5 0", 5, 1),
        ("137 0", 137, 1),
        ("3+ 3+ 0", 0, 3),
        ("3 3 0", 3, 2),
        ("3+ 3 3+ 3 3 0", 3, 5),
        ("3 3+ 3 0", 0, 4),
    ],
)
def test_a_run_is_begun_again_while_it_is_incomplete_and_gets_on(tmp_path, planned, code, calls):
    """Every code but 3 ends it, and so do two attempts without a new shard."""
    process = until_done(tmp_path, planned, tmp_path / "out", "e.toml", "--scheduler", "tls://a:1")
    process.communicate(timeout=60)
    assert process.returncode == code
    assert (tmp_path / "calls").read_text().splitlines() == [f"run e.toml --scheduler tls://a:1 --out {tmp_path}/out"] * calls


def test_the_end_of_the_container_reaches_the_run(tmp_path):
    process = until_done(tmp_path, "wait", tmp_path / "out", "e.toml")
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 130


def test_a_run_without_a_file_is_one_line(tmp_path):
    process = until_done(tmp_path, "0", tmp_path)
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors.count("\n")) == (2, 1)
    assert "usage: gdsim-until-done FOLDER FILE" in errors
