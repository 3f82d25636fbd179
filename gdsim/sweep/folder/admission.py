"""Whether a results folder may take an experiment, and how it is put there."""

import json
from typing import Any

import msgspec

from gdsim.canonical import canonical, digest, encoded
from gdsim.kernels import BITS
from gdsim.store.folder import Store, StoreError
from gdsim.store.places import EXPERIMENT, QUESTION
from gdsim.sweep.experiment.bit_versions import kernel_version, other_bits
from gdsim.sweep.experiment.cells import identities_of
from gdsim.sweep.experiment.declaration import Experiment
from gdsim.sweep.experiment.from_table import SomeExperiment
from gdsim.sweep.folder.chunks import of_kind
from gdsim.sweep.folder.larger import shown_after
from gdsim.sweep.folder.stored import arrays_of, data_names, experiment_in
from gdsim.sweep.planning.more_steps import why_not_longer, why_not_whole_epochs
from gdsim.sweep.planning.plan import CHUNK_SECONDS, MOST_SECONDS
from gdsim.words import count_of

# What an experiment may differ in from the one that a folder holds: it then has other cells or starts, and
# the same runs in those that both have.
EXTENSIBLE = {"starts", "problem", "optimizer", "schedule", "batch", "dtype", "distribution", "partition"}


def check(store: Store, sweep: Experiment, *, mix: bool = False, kernels: list[int] | None = None) -> dict[str, Any] | None:
    """What `experiment.json` holds, None where there is none yet; refuses a folder of something else, before
    anything is written.

    `kernels` are the versions of those that made what is to be added, if not these.
    """
    if not store.place.has(EXPERIMENT):
        try:
            names = store.place.names()
        except NotADirectoryError:
            raise StoreError(f"{store.folder!r} is a file; give a folder for the results") from None
        if names and not {"shards", EXPERIMENT} & {*names}:
            held = "the answer to a call, and no runs of a sweep" if QUESTION in names else "other files and no gdsim results"
            raise StoreError(f"{store.folder!r} holds {held}; give an empty or a new folder (--out, out=)")
        if EXPERIMENT not in names:  # else another driver has just put it there
            if "shards" in names:
                _check_shards(store, sweep)
                own = kernels or [kernel_version(sweep)]
                _check_kernels(store, _left_kernels(store, own[-1]) or own, own, mix, "as far as its log tells, as experiment.json has gone")
            return None
    held = store.experiment()
    _check_same(store, held, sweep)
    _check_kernels(store, held["kernels"], kernels or [_version(store, held, sweep)], mix, f"gdsim {held['gdsim']}")
    return held


def _check_kernels(store: Store, made: list[int], own: list[int], mix: bool, note: str) -> None:
    """Refuses a folder of runs that kernels of other versions have `made`."""
    if not mix and (differing := other_bits(made, own, f" ({note})")):
        raise StoreError(f"{store.folder!r} was {differing}: give another folder, or say that both may stand in one (mix=True, --mix)")


def _left_kernels(store: Store, last: int) -> list[int]:
    """The versions that have made the shards of a folder without `experiment.json`: by its log, or else all
    that there were up to the `last`.
    """
    if not store.listed():
        return []
    logged = [found for e in store.entries() if isinstance(found := e.get("kernels"), list) and found and all(isinstance(v, int) for v in found)]
    return logged[-1] if logged else list(range(BITS, last + 1))


def _check_shards(store: Store, sweep: Experiment) -> None:
    """Refuses a folder whose `experiment.json` has gone, and whose shards are all of other cells than a
    sweep's.
    """
    cells, shards = set(identities_of(sweep)), store.find().shards
    if shards and not any(cells.intersection(s.footer.cells) for s in of_kind(sweep.keep, shards)):
        raise StoreError(
            f"{store.folder!r} has lost its {EXPERIMENT}, and its {count_of(len(shards), 'shard holds', 'shards hold')} runs of another experiment: run that one, or give another folder"
        )


def _check_same(store: Store, held: dict[str, Any], sweep: Experiment) -> None:
    given, kept = json.loads(encoded(sweep)), held["experiment"]
    different = sorted(k for k in {*given, *kept} if kept.get(k) != given.get(k))
    if not different:
        return
    edited = _edited_function(kept, given)
    if edited:
        raise StoreError(
            f"{store.folder!r} was made with another source of {edited}, which has been edited since, or with other values of what it reads: give another folder, or restore them"
        )
    refusal = f"{store.folder!r} holds another experiment (it differs in {', '.join(different)}); give another folder (--out, out=){_other_order(kept, given)}"
    if not set(different) <= {*EXTENSIBLE, "steps"}:
        raise StoreError(refusal)
    if "steps" in different:
        steps = kept["steps"] or 0
        if reason := why_not_longer(sweep, steps) or why_not_whole_epochs(sweep, steps, lambda: [s.footer.columns for s in store.find().shards]):
            raise StoreError(f"{refusal}; {reason}")
    alike = msgspec.structs.replace(sweep, steps=kept["steps"]) if "steps" in different else sweep
    if not set(identities_of(alike)) & set(identities_of(experiment_in(store, held))):
        raise StoreError(refusal)


def in_its_form(store: Store, sweep: SomeExperiment) -> SomeExperiment:
    """The sweep, with problems in the form in which the folder holds them if an older version has made it."""
    if not store.place.has(EXPERIMENT):
        return sweep
    kept = store.experiment()["experiment"].get("problem", [])
    problems = tuple(p.as_in(kept) for p in sweep.problem)
    return sweep if all(a is b for a, b in zip(problems, sweep.problem, strict=True)) else msgspec.structs.replace(sweep, problem=problems)


def _other_order(kept: dict[str, Any], given: dict[str, Any]) -> str:
    """What to do where a formula has its variables in another order: older versions have those of a Python
    function as SymPy's text mentions them.
    """
    orders = {p["text"]: p["variables"] for p in kept.get("problem", []) if p.get("type") == "expression"}
    for p in given["problem"]:
        order = orders.get(p.get("text"), ()) if p.get("type") == "expression" else ()
        if order and order != p["variables"] and sorted(order) == sorted(p["variables"]):
            return f", or write variables={order} in gd.Expression: its variables stand in that order there, and in the order {p['variables']} in yours"
    return ""


def _edited_function(kept: dict[str, Any], given: dict[str, Any]) -> str | None:
    """The name of a function of the user's that both experiments have, with different sources."""
    sources = {p["function"]: p["source"] for p in kept.get("problem", []) if p.get("type") == "own"}
    return next((p["function"] for p in given["problem"] if p.get("type") == "own" and sources.get(p["function"], p["source"]) != p["source"]), None)


def _version(store: Store, held: dict[str, Any], sweep: Experiment) -> int:
    """The version that these kernels have for what the folder holds, which is a sweep or may be another."""
    return kernel_version(sweep if held["sha256"] == digest(sweep) else experiment_in(store, held))


def create(store: Store, sweep: Experiment, *, mix: bool = False, chunk_seconds: float = CHUNK_SECONDS, kernels: list[int] | None = None) -> Experiment:
    """Makes the folder with the experiment and its data, or adds to it what it lacks; the sweep that it then
    holds, which may be a larger one.

    `kernels` as of `check`.
    """
    held = check(store, sweep, mix=mix, kernels=kernels)  # anew: since the caller looked, another driver may have extended it
    shown = _shown(store, sweep, held)
    store.place.make()
    # First, so that whatever ends the process, the folder is known as ours.
    while not store.write_experiment(document_of(store, shown, held, chunk_seconds if shown is sweep else None, kernels), held):
        held = check(store, sweep, mix=mix, kernels=kernels)
        shown = _shown(store, sweep, held)
    store.place.make("shards")
    store.write_data(arrays_of(shown))
    return shown


def _shown(store: Store, sweep: Experiment, held: dict[str, Any] | None) -> Experiment:
    """The sweep that the folder holds once a sweep is run in it."""
    if held is None or held["sha256"] == digest(sweep):
        return sweep
    return shown_after(sweep, experiment_in(store, held), store.folder)


def document_of(
    store: Store, sweep: Experiment, held: dict[str, Any] | None = None, chunk_seconds: float | None = None, kernels: list[int] | None = None
) -> dict[str, Any]:
    """What `experiment.json`, which says `held`, is to say of a sweep; `chunk_seconds` None: what it says
    already; `kernels` as of `check`.
    """
    own = kernels or [kernel_version(sweep)]
    # Runs of its own version are what a larger sweep's would be.
    others = set(held["kernels"]) - {_version(store, held, sweep)} if held else _left_kernels(store, own[-1])
    earlier = (set(held["earlier_steps"]) | {held["experiment"]["steps"]}) - {None, sweep.steps} if held else set()
    seconds = chunk_seconds or chunk_seconds_of(held or {})
    return {
        "experiment": canonical(sweep), "sha256": digest(sweep), "kernels": sorted({*own, *others}),
        "data": {**(held["data"] if held else {}), **data_names(sweep.problem)},
        "earlier_steps": sorted(earlier), **({} if seconds == CHUNK_SECONDS else {"chunk_seconds": seconds}),
    }  # fmt: skip


def chunk_seconds_of(held: dict[str, Any]) -> float:
    """By how much work of one core the folder's chunks were cut of late, as `experiment.json` says."""
    said = held.get("chunk_seconds")
    return said if isinstance(said, float | int) and 0 < said <= MOST_SECONDS else CHUNK_SECONDS
