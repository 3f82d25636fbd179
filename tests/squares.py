"""A question whose answer is known: the squares of numbers, two of a piece. Processes of their own import it too."""

import os
import pathlib
import signal

import numpy as np

from gdsim.questions import Call, Question


def work(question, first, last, threads):
    marks = question.arguments.get("marks")
    if marks is not None:
        pathlib.Path(marks, str(first)).touch()
    if str(first) == os.environ.get("DIE_AT"):
        os.kill(os.getpid(), signal.SIGKILL)
    if first in question.arguments.get("fails", ()):
        raise ArithmeticError("no such square")
    x = question.arrays["x"][first:last]
    return {"square": x * x, "powers": x[:, None] ** np.arange(3), "even": np.arange(first, last) % 2 == 0}


def dataset(question, found):
    import xarray  # which no worker needs

    return xarray.Dataset({"square": ("item", found["square"]), "powers": (("item", "power"), found["powers"])}, {"x": ("item", question.arrays["x"])})


SQUARES = Call("test.squares", work, dataset)


def question(count=10, operations=4e10, **arguments):  # two items a piece
    return Question(SQUARES, arguments, (), {"x": np.arange(float(count))}, count, operations)
