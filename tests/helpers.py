"""Oracles written with PyTorch, and small pieces that several tests use."""

import contextlib
import io
import itertools
import os
import subprocess
import sys
import textwrap
from unittest import mock

import numpy as np

import gdsim as gd

ACTIVATIONS = ("identity", "relu", "tanh", "sigmoid", "leaky_relu", "elu", "softplus", "gelu", "silu", "sine")
LOSSES = ("squared_error", "mean_squared_error", "absolute_error", "huber", "log_loss", "cross_entropy")


APART = False  # whether commands run in processes of their own: tests/conftest.py sets it


def gdsim(*arguments, folder, patched=False):
    """(exit code, output, errors) of the command in a folder.

    In the first tier of tests it runs in this process, which spares two seconds of imports; else in one of
    its own, but where the test has put something else in a function's place (`patched`), or asks for
    nothing that depends on the process.
    """
    words, settings = [str(a) for a in arguments], {**os.environ, "COLUMNS": "150"}
    if APART and not patched:
        command = [sys.executable, "-m", "gdsim.cli", *words]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, env=settings)
        return done.returncode, done.stdout, done.stderr
    from gdsim.cli import main

    out, errors, code = io.StringIO(), io.StringIO(), 0
    surroundings = (
        contextlib.chdir(folder), mock.patch.dict(os.environ, settings), mock.patch.object(sys, "argv", ["gdsim", *words]),
        contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors),
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        for one in surroundings:
            stack.enter_context(one)
        try:
            main(words)
        except SystemExit as ended:
            code = ended.code or 0
    return code, out.getvalue(), errors.getvalue()


def python(program, folder, **environment):
    """(its last line, its exit code, what it said) of a program in a process of its own with its own
    cache.
    """
    variables = {**os.environ, "GDSIM_CACHE_DIR": str(folder), **environment}
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env=variables, capture_output=True, text=True, check=False)
    return (done.stdout.strip().splitlines() or [""])[-1], done.returncode, done.stderr


def data_for(loss, samples=23, features=5, seed=0):
    """Random samples with targets that fit a loss."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(samples, features))
    if loss == "cross_entropy":
        return gd.Data(X, rng.integers(0, 3, samples))
    if loss == "log_loss":
        return gd.Data(X, rng.integers(0, 2, samples))
    return gd.Data(X, rng.normal(size=(samples, 2)))


def torch_activations(torch):
    """PyTorch's function for each activation."""
    functional = torch.nn.functional
    return {
        "identity": lambda z: z, "relu": torch.relu, "tanh": torch.tanh, "sigmoid": torch.sigmoid, "leaky_relu": functional.leaky_relu,
        "elu": functional.elu, "softplus": functional.softplus, "gelu": functional.gelu, "silu": functional.silu, "sine": torch.sin,
    }  # fmt: skip


def torch_loss(torch, problem, vector, X, y, weight=None):
    """The mean loss of a network in PyTorch, from the public parameter vector, without penalties."""
    activation = torch_activations(torch)
    a, seen, first, widths = X, [X], 0, problem.widths
    for depth, (below, units) in enumerate(itertools.pairwise(widths)):
        if problem.skip == "dense":
            a = torch.cat(seen, 1)
        inputs = a.shape[1]
        W = vector[first : first + inputs * units].reshape(units, inputs)
        first += inputs * units
        z = a @ W.T
        if problem.intercept:
            z, first = z + vector[first : first + units], first + units
        before, a = a, activation[problem.layer_activations[depth]](z) if depth < len(widths) - 2 else z
        if problem.skip == "residual" and 0 < depth < len(widths) - 2 and below == units:
            a = a + before
        seen.append(a)
    functional = torch.nn.functional
    if problem.loss == "cross_entropy":
        losses = functional.cross_entropy(a, y, reduction="none", label_smoothing=problem.label_smoothing)
    elif problem.loss == "log_loss":
        losses = functional.binary_cross_entropy_with_logits(a[:, 0], y.to(a.dtype), reduction="none")
    else:
        a, y = activation[problem.output or "identity"](a), y.reshape(len(y), -1)
        kinds = {"absolute_error": (a - y).abs, "huber": lambda: functional.huber_loss(a, y, reduction="none"),
                 "squared_error": lambda: 0.5 * (a - y) ** 2, "mean_squared_error": lambda: (a - y) ** 2}  # fmt: skip
        losses = kinds[problem.loss]().sum(1)
    return losses.mean() if weight is None else (losses * weight).sum() / len(losses)


def torch_tensors(torch, data, dtype):
    """X and y as tensors; labels stay integers."""
    y = torch.tensor(data.y) if data.y.dtype.kind == "i" else torch.tensor(data.y, dtype=dtype)
    return torch.tensor(data.X, dtype=dtype), y


def same_bits(a, b):
    """Whether two arrays have the same bits, NaN included."""
    a, b = np.ascontiguousarray(a), np.ascontiguousarray(b)
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def same_results(a, b):
    """Names of the variables of two results that differ in a bit; the second's runs are those of the first or
    more.
    """
    b = b.sel(run=a.run.values)
    return [n for n in a.data_vars if not same_bits(a[n].values, b[n].values)]
