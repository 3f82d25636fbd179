"""Functions made from text: where a kernel needs straight-line code whose length is chosen when it is bound."""

import types
from collections.abc import Mapping
from typing import Any


def function_from(text: str, name: str, names: Mapping[str, Any]) -> Any:
    """The function `name` that `text` defines, with `names` as its globals.

    The cache tells such functions by their code.
    """
    space = {**names, "__name__": __name__}
    exec(compile(text, f"<generated {name}>", "exec"), space)
    function = space[name]
    assert isinstance(function, types.FunctionType)
    return function
