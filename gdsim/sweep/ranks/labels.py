"""Words on figures and pages: numbers in three digits, cells by what differs between them, counts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from gdsim.sweep.experiment.cells import said
from gdsim.sweep.results.reading import Dataset, with_none

DIGITS = 3


def shown_number(value: float, digits: int = DIGITS) -> str:
    """A number in so many digits; a whole one below a million, as a batch of 1024 is, in all of its own.

    >>> [shown_number(v) for v in (0.000464159, 2.15443e-05, 1234567.0, 0.5, 1024.0)]
    ['0.000464', '2.15e-5', '1.23e6', '0.5', '1024']
    """
    if abs(value) < 1e6 and value == round(value):
        return f"{value:.0f}"
    text = f"{value:.{digits}g}"
    mantissa, e, power = text.partition("e")
    return f"{mantissa}e{int(power)}" if e else text


def shown_values(values: Iterable[Any]) -> list[str]:
    """Values of a hyperparameter in words: numbers in three digits, or in as many as tell them apart; nothing
    for one that a cell has not.

    >>> shown_values([0.1, 0.1000001, float("nan")])
    ['0.1', '0.1000001', '']
    """
    given = [float(v) if isinstance(v, (float, np.floating)) else v for v in values]
    numbers = {v for v in given if isinstance(v, float) and v == v}
    digits = next((d for d in range(DIGITS, 17) if len({shown_number(v, d) for v in numbers}) == len(numbers)), 17)
    return ["" if v != v else shown_number(v, digits) if isinstance(v, float) else str(v) for v in given]


def settings_of(found: Dataset) -> dict[str, np.ndarray]:
    """The hyperparameters of a Dataset over `cell`, by name: those that differ between cells, the optimizer
    left out.
    """
    columns = {str(n): with_none(str(n), c.values) for n, c in found.coords.items() if c.dims == ("cell",) and n not in ("cell", "label", "optimizer")}
    return {n: values for n, values in columns.items() if len(set(shown_values(values.tolist()))) > 1}


def settings_texts(settings: Mapping[str, np.ndarray], count: int) -> list[str]:
    """Each cell's hyperparameters in words, such as "lr = 0.1, momentum = 0.9"; nothing where there are
    none.
    """
    columns = {name: shown_values(values.tolist()) for name, values in settings.items()}
    return [", ".join(filter(None, (said(name, column[k], " = ") for name, column in columns.items()))) for k in range(count)]


def cell_texts(found: Dataset) -> list[str]:
    """The cells of a Dataset over `cell` in words: the optimizer where there are several, and what
    differs.
    """
    rules = [str(name) for name in found.optimizer.values]
    texts = settings_texts(settings_of(found), len(rules))
    if len(set(rules)) == 1:
        return [text or rule for rule, text in zip(rules, texts, strict=True)]
    return [f"{rule}, {text}" if text else rule for rule, text in zip(rules, texts, strict=True)]


def counted(numbers: Iterable[int], what: str) -> str:
    """How many of something there are in each cell, in words.

    >>> counted([16, 16], "run"), counted([3, 10], "run")
    ('16 runs', '3 to 10 runs')
    """
    counts = sorted(set(map(int, numbers)))
    if not counts:
        return f"no {what}s"
    text = f"{counts[0]:,}" if len(counts) == 1 else f"{counts[0]:,} to {counts[-1]:,}"
    return f"{text} {what}{'' if counts == [1] else 's'}"


def joined(texts: Sequence[str]) -> str:
    """Texts as an enumeration: "a, b and c"."""
    return texts[0] if len(texts) == 1 else f"{', '.join(texts[:-1])} and {texts[-1]}" if texts else ""
