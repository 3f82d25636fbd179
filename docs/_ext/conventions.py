"""The defaults of every optimizer in each convention, side by side, from their own tables."""

import inspect

from gdsim.rules import RULES
from gdsim.rules.base import RootedRule, Rule

CONVENTIONS = ("lecture", "torch", "optax")


def written() -> str:
    """A table in Markdown: a row an optimizer and hyperparameter."""
    lines = ["| optimizer | formula | hyperparameter | lecture | torch | optax |", "|---|---|---|---|---|---|"]
    for rule in RULES:
        for i, name in enumerate(_names(rule)):
            head = (f"{{py:obj}}`~gdsim.{rule.__name__}`", _cell(formula(rule))) if i == 0 else ("", "")
            lines.append(f"| {' | '.join([*head, f'`{name}`', *(_default(rule, name, c) for c in CONVENTIONS)])} |")
    return "\n".join([*lines, ""])


def formula(rule: type[Rule]) -> str:
    """What a rule's docstring says of it, without its examples and the table of its fields."""
    return " ".join((inspect.getdoc(rule) or "").partition("\nParameters\n")[0].partition(">>>")[0].split())


def _names(rule: type[Rule]) -> list[str]:
    return [*next(iter(rule.defaults.values())), *(["eps_mode"] if issubclass(rule, RootedRule) else [])]


def _default(rule: type[Rule], name: str, convention: str) -> str:
    if convention not in rule.defaults:
        return ""
    if name == "eps_mode":
        return rule(convention=convention).eps_mode
    return f"{rule.defaults[convention][name]:g}" if name in rule.defaults[convention] else ""


def _cell(text: str) -> str:
    return "".join(rf"\{letter}" if letter in "\\|*<[]_$" else letter for letter in text)
