"""Words for errors: what was given, in one line, and the allowed word that was meant."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

# gdsim's names, and what other libraries and textbooks call the same.
MEANT = {
    "decay": ("rho", "alpha", "smoothing"),  # before lr: PyTorch's RMSprop has an alpha
    "lr": ("learning_rate", "learningrate", "rate", "eta", "eta0", "alpha", "step_size", "learning_rate_init"),
    "steps": ("n_steps", "num_steps", "epochs", "n_epochs", "num_epochs", "iterations", "n_iter", "max_iter", "updates", "total_steps", "total_iters"),
    "starts": ("n_starts", "num_starts", "restarts", "n_runs", "runs", "replicas", "population", "n"),
    "hidden": ("hidden_layer_sizes", "hidden_layers", "hidden_sizes", "layers", "layer_sizes", "widths", "width", "units"),
    "optimizer": ("optim", "rule", "rules", "solver", "method"),
    "problem": ("model", "function", "objective", "net", "network"),
    "batch": ("minibatch", "mini_batch"),
    "seed": ("random_state", "rng", "random_seed"),
    "schedule": ("scheduler", "lr_scheduler"),
    "stop": ("early_stopping", "criterion", "callbacks"),
    "init": ("x0", "start", "initializer"),
    "momentum": ("mu", "gamma", "beta"),
    "beta1": ("b1", "betas", "momentum"),
    "beta2": ("b2", "decay"),
    "dim": ("d", "n", "ndim"),
    "l2": ("weight_decay", "penalty", "alpha"),
    "activation": ("nonlinearity", "act"),
    "intercept": ("bias", "biases"),
    "matrix": ("A", "H", "Q", "hessian"),
    "cycle": ("T_max", "T_0", "period", "length"),
    "half_cycle": ("step_size_up",),
    "minimum": ("eta_min", "min_lr", "base_lr"),
    "factor": ("gamma",),
    "length": ("step_size",),
    "norm": ("max_norm", "threshold"),
    "value": ("clip_value",),
    "tolerance": ("tol", "eps", "atol"),
    "dtype": ("precision",),
    "data": ("X", "dataset"),
    "patience": ("n_iter_no_change",),
    "mean_squared_error": ("mse", "MSELoss", "l2"),
    "absolute_error": ("mae", "mean_absolute_error", "L1Loss", "l1"),
    "huber": ("HuberLoss", "SmoothL1Loss", "smooth_l1"),
    "log_loss": ("bce", "binary_crossentropy", "binary_cross_entropy", "logistic", "BCELoss", "BCEWithLogitsLoss"),
    "cross_entropy": ("ce", "nll", "softmax", "categorical_crossentropy", "sparse_categorical_crossentropy", "CrossEntropyLoss", "NLLLoss"),
    "CosineDecay": ("CosineAnnealingLR",),
    "SGDR": ("CosineAnnealingWarmRestarts",),
    "Step": ("StepLR",),
    "MultiStep": ("MultiStepLR",),
    "Exponential": ("ExponentialLR",),
    "Polynomial": ("PolynomialLR",),
    "OneCycle": ("OneCycleLR",),
    "Triangular": ("CyclicLR",),
    "Warmup": ("LinearLR",),
    "ClipNorm": ("clip_grad_norm_",),
    "workers": ("world_size", "n_workers", "num_workers", "nodes", "ranks"),
    "clients": ("n_clients", "num_clients", "workers"),
    "sampled": ("clients_per_round", "sample", "num_sampled"),
    "period": ("local_steps", "sync_every", "averaging_period", "interval", "H"),
    "epochs": ("local_epochs",),
    "topology": ("graph", "mixing_matrix", "W"),
    "Synchronous": ("DistributedDataParallel", "DDP", "AllReduce", "DataParallel"),
    "LocalSGD": ("PeriodicModelAverager", "PostLocalSGD"),
    "ElasticAveraging": ("EASGD", "EAMSGD"),
    "Asynchronous": ("ASGD", "AsyncSGD", "FedBuff", "ParameterServer"),
    "FederatedAveraging": ("FedAvg", "FedProx", "FedOpt", "FedAdam", "FedNova"),
    "Gossip": ("DPSGD", "DecentralizedSGD", "PushSum"),
    "ClipValue": ("clip_grad_value_",),
}  # fmt: skip
# Fields that people look for where they are not, and what has them.
ELSEWHERE = {
    "momentum": "gd.Momentum(lr, momentum) and gd.Nesterov(lr, momentum) have it",
    "nesterov": "gd.Nesterov(lr, momentum) is the rule",
    "amsgrad": "gd.AMSGrad(lr) is the rule",
    "weight_decay": "gd.AdamW(lr, weight_decay) has it, and gd.WeightDecay(rule, weight_decay) is put around any rule",
    "clipnorm": "gd.ClipNorm(rule, norm) is put around any rule",
    "clipvalue": "gd.ClipValue(rule, value) is put around any rule",
    "workers": "the distribution has it, such as gd.LocalSGD(workers=4, period=8)",
    "out": "it is run(out=...) that takes it",
    "threads": "it is run(threads=...) that takes it",
    "lr": "the optimizer has it, such as gd.Adam(lr=0.01)",
    "learning_rate": "the optimizer has it, such as gd.Adam(lr=0.01)",
    "lr_decay": "schedule= says how a rate falls, such as gd.InverseTime()",
    "ReduceLROnPlateau": "no schedule looks at losses; gd.Plateau ends a run whose loss falls no more",
    "LBFGS": "there is no L-BFGS; every rule takes one gradient a step, such as gd.Adam(lr=0.01)",
    "MSELoss": 'it is a name, as in gd.MLP(data, loss="mean_squared_error")',
    "L1Loss": 'it is a name, as in gd.MLP(data, loss="absolute_error")',
    "HuberLoss": 'it is a name, as in gd.MLP(data, loss="huber")',
    "BCELoss": 'it is a name, as in gd.MLP(data, loss="log_loss")',
    "BCEWithLogitsLoss": 'it is a name, as in gd.MLP(data, loss="log_loss")',
    "CrossEntropyLoss": 'it is a name, as in gd.MLP(data, loss="cross_entropy")',
    "NLLLoss": 'it is a name, as in gd.MLP(data, loss="cross_entropy")',
}
_EPOCHS = ("samples", "an epoch is as many samples as the data has: samples=3 * len(X) trains for 3")
# Names of other libraries that are several of gdsim's, or stand for what is written otherwise: with a field
# that tells where they were meant.
INSTEAD = {
    "betas": ("beta1", "write beta1= and beta2="),
    "learning_rate": ("learning_rate_init", "its size is learning_rate_init=, and how it changes schedule=, such as gd.InverseTime()"),
    "solver": ("learning_rate_init", "write optimizer=, such as gd.Momentum(0.1)"),
    "nesterovs_momentum": ("learning_rate_init", "write optimizer=gd.Nesterov(0.1, 0.9)"),
    "beta_1": ("learning_rate_init", "write optimizer=gd.Adam(beta1=...)"),
    "beta_2": ("learning_rate_init", "write optimizer=gd.Adam(beta2=...)"),
    "epsilon": ("learning_rate_init", "write optimizer=gd.Adam(eps=...)"),
    "power_t": ("learning_rate_init", "write schedule=gd.Power(exponent)"),
    "max_fun": ("learning_rate_init", "there is no L-BFGS; max_iter= counts epochs"),
    "epochs": _EPOCHS,
    "n_epochs": _EPOCHS,
    "num_epochs": _EPOCHS,
}
# A list of more names than this is no help.
MOST_NAMES = 50


def _folded(word: str) -> str:
    return "".join(c for c in word.lower() if c not in "_- ")


def closest(word: str, allowed: Sequence[str]) -> str | None:
    """The allowed word that was meant: the same but for case and underscores, another name of the same, or
    the nearest in spelling.

    >>> closest("learning_rate", ["lr", "momentum"]), closest("hiden", ["hidden", "loss"]), closest("sgd", ["Adam", "SGD"])
    ('lr', 'hidden', 'SGD')
    >>> closest("start", ["init", "starts"])
    'starts'
    """
    import difflib

    by_folded = {_folded(a): a for a in reversed(allowed)}
    if _folded(word) in by_folded:
        return by_folded[_folded(word)]
    counted = [f for f in by_folded if f in (f"{_folded(word)}s", _folded(word).removesuffix("s"))]  # as "start" for "starts"
    if counted:
        return by_folded[counted[0]]
    meant = next((name for name, others in MEANT.items() if word in others and name in allowed), None)
    if meant is not None:
        return meant
    swapped = [f for f in by_folded if sorted(f) == sorted(_folded(word))]  # as "rl" for "lr", which is too short to be near
    close = swapped or difflib.get_close_matches(_folded(word), by_folded, 1, 0.6)
    return by_folded[close[0]] if close else None


def nearest(word: str, allowed: Sequence[str]) -> str:
    """A hint for a misspelt name: the nearest allowed one, then all of them, if there are others.

    >>> nearest("stpes", ["steps"]), nearest("stpes", ["starts", "steps"])
    ("did you mean 'steps'?", "did you mean 'steps'? allowed: 'starts', 'steps'")
    """
    where, instead = INSTEAD.get(word, ("", ""))
    close = None if where in allowed else closest(word, allowed)
    said = instead if where in allowed else ELSEWHERE.get(word, "")
    if close and len(allowed) == 1:
        return f"did you mean {close!r}?"
    return f"{f'did you mean {close!r}? ' if close else f'{said}; ' if said else ''}allowed: {', '.join(repr(a) for a in allowed)}"


def checked_word(value: object, name: str, allowed: Collection[str], also: str = "") -> str:
    """One of the allowed words. Raises ValueError for anything else, with the nearest, and what is allowed `also`.

    >>> checked_word("linspace", "spacing", ["linspace", "logspace"])
    'linspace'
    """
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name}={given(value)} is not known; {nearest(str(value), tuple(allowed))}{also and f', {also}'}")
    return value


def given(value: Any) -> str:
    """A value as it stands in an error: one line, and not a long one."""
    if isinstance(value, type):
        return f"the class {value.__name__}"
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and shape:
        return f"{type(value).__name__} of shape {tuple(shape)}"
    if hasattr(value, "data_vars"):  # of xarray
        return f"a Dataset over {', '.join(map(str, value.sizes))}"
    if hasattr(value, "isoformat"):  # a date, as it is written
        return str(value)
    text = " ".join(repr(_unwrapped(value)).split())
    return text if len(text) <= 200 else f"{text[:190]} ..."


def _unwrapped(value: Any) -> Any:
    """NumPy's numbers and texts, also those in a list, as Python's, which are shown without the name of their
    type.
    """
    if type(value) in (list, tuple):
        return type(value)(map(_unwrapped, value))
    if isinstance(value, np.floating):
        return float(str(value))  # 0.1 of float32 is 0.1 to a reader
    return value.item() if isinstance(value, (np.integer, np.bool_, np.str_)) else value


def count_of(count: int, one: str, many: str | None = None) -> str:
    """How many there are of a thing.

    >>> count_of(1, "cell"), count_of(1200, "cell"), count_of(0, "axis", "axes")
    ('1 cell', '1,200 cells', '0 axes')
    """
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def are(count: int, one: str) -> str:
    """How many of a thing are, or one is.

    >>> are(1, "file"), are(2, "file")
    ('1 file is', '2 files are')
    """
    return count_of(count, f"{one} is", f"{one}s are")


def size_of(count: float) -> str:
    """Bytes in the unit that suits them.

    >>> size_of(412), size_of(5_300), size_of(999_999), size_of(12_340_000), size_of(15.5e12), size_of(2e15)
    ('412 bytes', '5.3 kB', '1.0 MB', '12.3 MB', '15.5 TB', '2.0 PB')
    """
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= 0.99995 * size:
            return f"{count / size:,.1f} {unit}"
    return count_of(int(count), "byte")


def article(noun: str) -> str:
    """The noun after "a" or "an", by how it begins in speech: abbreviations by the names of their letters.

    >>> article("LSTM"), article("ReLU"), article("int"), article("GRU"), article("Upsample"), article("uint8"), article("N")
    ('an LSTM', 'a ReLU', 'an int', 'a GRU', 'an Upsample', 'a uint8', 'an N')
    """
    if len(noun) == 1 or noun[:2].isupper():
        is_vowel = noun[0].upper() in "AEFHILMNORSX"
    else:
        is_vowel = noun[:1].lower() in tuple("aeiou") and not noun.lower().startswith(("uint", "unic", "unif", "unit", "use"))
    return f"{'an' if is_vowel else 'a'} {noun}"


def installs(extra: str) -> str:
    """The command that installs what one of gdsim's extras names: its packages, since gdsim itself stands in
    no index to take them from.

    >>> installs("optuna").split()[:2]
    ['pip', 'install']
    """
    import importlib.metadata
    import shlex

    try:
        named = importlib.metadata.requires("gdsim") or []
    except importlib.metadata.PackageNotFoundError:  # a folder on the path that nobody installed
        named = []
    wanted = [line.partition(";")[0].strip() for line in named if f'extra == "{extra}"' in line]
    return "pip install " + " ".join(map(shlex.quote, wanted or [f".[{extra}]"]))


def need(module: str, what: str, extra: str) -> None:
    """Raises ValueError where a package of one of gdsim's extras is missing that `what` needs.

    >>> need("json", "this example", "cluster")
    """
    import importlib.util

    if importlib.util.find_spec(module) is None:
        raise ValueError(f"{what} needs the package {module.replace('_', '-')}, which is not installed: {installs(extra)}")


def unknown_name(module: str, name: str, allowed: Sequence[str]) -> AttributeError:
    """The error for a name that a module does not have."""
    close = closest(name, allowed)
    hint = f"; did you mean {close!r}?" if close else f": {ELSEWHERE[name]};" if name in ELSEWHERE else ""
    listed = f" allowed: {', '.join(allowed)}" if len(allowed) <= MOST_NAMES else f" dir({module}) lists all names"
    return AttributeError(f"{module} has no {name!r}{hint or ';'}{listed}")
