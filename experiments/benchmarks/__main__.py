"""How fast gdsim trains populations, beside what its users would run instead, on the same cores: every row, a
table, pictures.

    python experiments/benchmarks [--rounds 3] [--rows digits ...] [--scaling] [--out results/benchmarks]
    python experiments/benchmarks --against COMMIT [--rows digits ...]    this tree beside another: against.py
    python experiments/benchmarks --quick                                  this tree beside HEAD in three minutes
    python experiments/benchmarks --map [rules ...]                        what a step costs, and where it jumps: cost_map.py

Each round measures the cores' peak and then every system once, one after the other, each in a process of its
own. A row's figures are medians over rounds, its ratio the median of the rounds' ratios to the faster peer,
its share the median of the rounds' shares of the peak that the round has measured. A row fails if the medians
of the systems' final losses differ by more than a fiftieth: rounding drives single runs apart, not
populations. Of large works the memory is measured too (memory.py). Leaves results.json, table.md (which the README shows) and the pictures of figures.py.
"""

import argparse
import json
import math
import pathlib
import statistics
import sys
from typing import Any

import against
import cost_map
import figures
from processes import answer
from variations import AXES
from works import ROWS, WORKS, Row, rows_named

HERE = pathlib.Path(__file__).parent
AGREEMENT = 0.02
MEMORY_STEPS = 8  # enough for all that a training allocates


def measured(system: str, row: Row, threads: int | None = None) -> dict[str, float]:
    """One line of `systems.py`."""
    return json.loads(answer(HERE / "systems.py", system, row.work, row.rule, row.runs, row.steps, *([] if threads is None else [threads])))


def round_of(row: Row) -> dict[str, Any]:
    """The peak and every system once."""
    return {"peak": float(answer(HERE / "peak.py")), **{s: measured(s, row) for s in ("gdsim", *row.peers)}}


def memory_of(row: Row) -> dict[str, Any] | None:
    """Bytes that every system takes to train a large work, and those that are needed; None of the others."""
    if row.work not in WORKS or not WORKS[row.work].is_large:
        return None
    found = {s: json.loads(answer(HERE / "memory.py", s, row.work, row.rule, row.runs, MEMORY_STEPS)) for s in ("gdsim", *row.peers)}
    return {"needed": found["gdsim"]["needed"], **{s: one["taken"] for s, one in found.items()}}


def agrees(row: Row, found: dict[str, Any]) -> bool:
    """Whether JAX and PyTorch have trained what gdsim has; scikit-learn has starts and orders of its own."""
    return all(math.isclose(found[s]["loss"], found["gdsim"]["loss"], rel_tol=AGREEMENT) for s in row.peers if s != "sklearn")


def result_of(row: Row, rounds: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures of one row."""
    systems = ("gdsim", *row.peers)
    ratios = [min(r[s]["us"] for s in row.peers) / r["gdsim"]["us"] for r in rounds]
    operations = WORKS[row.work].operations() if row.work in WORKS else 0
    shares = [operations / r["gdsim"]["us"] / 1e3 / r["peak"] for r in rounds]
    return {
        "work": row.work, "rule": row.rule, "runs": row.runs, "steps": row.steps, "us": {s: statistics.median(r[s]["us"] for r in rounds) for s in systems},
        "ratio": statistics.median(ratios), "ratios": ratios, "target": row.target, "share": statistics.median(shares) if operations else None,
        "peak": statistics.median(r["peak"] for r in rounds), "operations": operations, "loss": {s: rounds[-1][s]["loss"] for s in systems},
        "agrees": all(agrees(row, r) for r in rounds), "memory": memory_of(row),
    }  # fmt: skip


def time_text(us: float | None) -> str:
    """Microseconds in three digits, or as nanoseconds or milliseconds."""
    if us is None:
        return ""
    return f"{us * 1e3:.3g} ns" if us < 0.1 else f"{us:.3g} us" if us < 1000 else f"{us / 1e3:.3g} ms"


def table(results: list[dict[str, Any]]) -> str:
    """The Markdown table of some rows."""
    lines = ["| work, rule, runs | gdsim | JAX vmap | PyTorch bmm | gdsim over the faster | share of peak |", "|---|---|---|---|---|---|"]
    for r in results:
        times = " | ".join(time_text(r["us"].get(s)) for s in ("gdsim", "jax", "torch"))
        share = "" if r["share"] is None else f"{r['share']:.0%}"
        lines.append(f"| {r['work']}, {r['rule'].capitalize()}, {r['runs']:,} | {times} | {r['ratio']:.2f}x | {share} |")
    return "\n".join(lines)


def memory_table(results: list[dict[str, Any]]) -> str:
    """The Markdown table of the memory of large works; nothing where there is none."""
    lines = ["", "| work, rule, runs | weights, state and data | gdsim | JAX vmap | PyTorch bmm | gdsim over what is needed |", "|---|---|---|---|---|---|"]
    for r in (r for r in results if r["memory"]):
        megabytes = ["" if r["memory"].get(s) is None else f"{r['memory'][s] / 1e6:.3g} MB" for s in ("needed", "gdsim", "jax", "torch")]
        ratio = "" if r["memory"]["gdsim"] is None else f"{r['memory']['gdsim'] / r['memory']['needed']:.2f}x"
        lines.append(f"| {r['work']}, {r['rule'].capitalize()}, {r['runs']:,} | {' | '.join(megabytes)} | {ratio} |")
    return "\n".join(lines) if len(lines) > 3 else ""


def asked() -> tuple[argparse.Namespace, list[Row], int]:
    """(what the command line says, its rows, its rounds)."""
    parser = argparse.ArgumentParser(prog="python experiments/benchmarks", description=(__doc__ or "").partition("\n\n")[0])
    parser.add_argument(
        "--rounds", type=int, help=f"3 by default; {against.ROUNDS} with --against, {against.QUICK_ROUNDS} with --quick, {cost_map.ROUNDS} with --map"
    )
    parser.add_argument("--rows", nargs="+", help=f"names or beginnings of names: {', '.join(r.name for r in ROWS)}; with --against, {against.COLD}")
    parser.add_argument("--against", metavar="COMMIT", help="compare this tree's speed with another's")
    parser.add_argument("--quick", action="store_true", help="compare some rows' speed with HEAD's, or that of --against, in three minutes")
    parser.add_argument("--map", nargs="*", metavar="AXIS", choices=AXES, help=f"measure what a step costs as one thing changes: {', '.join(AXES)}")
    parser.add_argument("--scaling", action="store_true", help="measure time against runs, width, batch and threads too")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("results/benchmarks"))
    options = parser.parse_args()
    if options.rows and (options.quick or options.map is not None):
        parser.error("--rows chooses what --quick and --map have chosen: leave it out")
    if options.map is not None and (options.quick or options.against or options.scaling):
        parser.error("--map is measured alone: leave --quick, --against and --scaling out")
    usual, fewest = 3, 1
    if options.quick or options.against:
        usual, fewest = against.QUICK_ROUNDS if options.quick else against.ROUNDS, against.FEWEST_ROUNDS
    elif options.map is not None:
        usual = cost_map.ROUNDS
    if options.quick:
        options.against, options.rows = options.against or "HEAD", [r.name for r in ROWS if r.quick]
    options.rows = options.rows or [""]
    rows = rows_named(options.rows)
    if not rows and not (options.against and against.COLD.startswith(tuple(options.rows))):
        parser.error("no row has such a name")
    rounds = usual if options.rounds is None else options.rounds
    if rounds < fewest:
        parser.error(f"--rounds must be at least {fewest}")
    return options, rows, rounds


def main() -> None:
    """Measures all rows, or those whose name begins as asked."""
    options, rows, rounds = asked()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.against:
        raise SystemExit(against.compare(options.against, options.rows, rounds, options.out))
    if options.map is not None:
        raise SystemExit(cost_map.draw(options.map or list(AXES), rounds, options.out))
    results = []
    for row in rows:
        results.append(result_of(row, [round_of(row) for _ in range(rounds)]))
        (options.out / "results.json").write_text(json.dumps(results, indent=1))
        (options.out / "table.md").write_text(f"{table(results)}\n{memory_table(results)}\n")
        print(table(results[-1:]).splitlines()[-1], "" if results[-1]["agrees"] else f"LOSSES DIFFER: {results[-1]['loss']}", file=sys.stderr)
    print(table(results), memory_table(results), sep="\n")
    figures.roofline(results).savefig(options.out / "roofline.png", dpi=150)
    if options.scaling:
        curves = figures.measured_curves()
        (options.out / "scaling.json").write_text(json.dumps(curves, indent=1))
        figures.scaling(curves).savefig(options.out / "scaling.png", dpi=150)
    if not all(r["agrees"] for r in results):
        raise SystemExit("the systems have not trained the same thing")


if __name__ == "__main__":
    main()
