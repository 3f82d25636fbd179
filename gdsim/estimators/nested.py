"""Parameters within parameters: `optimizer__lr` is the field `lr` of the estimator's optimizer, as
scikit-learn writes it.
"""

from typing import Any

import msgspec

from gdsim.declarations import Declaration
from gdsim.words import given, nearest


def fields_within(name: str, declaration: Declaration) -> dict[str, Any]:
    """All fields of a declaration, and of those in it, by their long names.

    >>> import gdsim as gd
    >>> fields_within("optimizer", gd.SGD(lr=0.1))
    {'optimizer__lr': 0.1, 'optimizer__convention': 'lecture'}
    """
    found = {}
    for field in declaration.__struct_fields__:
        value = getattr(declaration, field)
        found[f"{name}__{field}"] = value
        if isinstance(value, Declaration):
            found |= fields_within(f"{name}__{field}", value)
    return found


def with_field(declaration: Declaration, path: str, value: Any) -> Any:
    """The declaration with another value in a field, `path` from it: "lr", or "rule__lr" of what is wrapped.

    >>> import gdsim as gd
    >>> with_field(gd.ClipNorm(gd.SGD(lr=0.1), norm=1), "rule__lr", 0.2).rule.lr
    0.2
    """
    field, _, rest = path.partition("__")
    if field not in declaration.__struct_fields__:
        raise ValueError(f"{type(declaration).__name__} has no {field!r}; {nearest(field, declaration.__struct_fields__)}")
    held = getattr(declaration, field)
    if rest:
        if not isinstance(held, Declaration):
            raise ValueError(f"{type(declaration).__name__}.{field} is {held!r}, which has no {rest!r}")
        value = with_field(held, rest, value)
    return msgspec.structs.replace(declaration, **{field: value})


def with_number(rule: Any, name: str, value: float) -> Any:
    """The rule with another value of a hyperparameter, its own or that of the rule that it wraps."""
    wrapped = getattr(rule, "rule", None)
    if wrapped is not None and name not in rule.ranges:
        return msgspec.structs.replace(rule, rule=with_number(wrapped, name, value))
    if name not in rule.hyperparameters():
        raise ValueError(f"{name}={given(value)} was given, and {type(rule).__name__} has no {name}; leave it out, or take another optimizer")
    return msgspec.structs.replace(rule, **{name: value})
