"""How fast gdsim trains populations on the digits, beside what its users would run instead, on the same cores.

    python experiments/benchmarks/digits.py [--rounds 3] [--steps 500] [--quick] [--json FILE]

Each round measures every system once, one after the other, each in a process of its own; a row's figures are medians over
rounds, and the ratio is the median of the rounds' ratios to the faster of JAX and PyTorch. Prints the table of the README.
"""

import argparse
import json
import pathlib
import statistics
import sys

from processes import answer

ROWS = [("adam", 256), ("momentum", 256), ("adam", 4096), ("momentum", 4096)]
SYSTEMS = ("gdsim", "jax", "torch", "sklearn")
PROGRAM = pathlib.Path(__file__).with_name("systems.py")


def measure(system: str, rule: str, runs: int, steps: int) -> dict:
    """One line of `systems.py`."""
    if system == "sklearn":
        runs = 1
    return json.loads(answer(PROGRAM, system, rule, runs, steps))


def row_of(rule: str, runs: int, rounds: list[dict[str, dict]]) -> dict:
    """The medians of one row."""
    medians = {s: statistics.median(r[s]["us"] for r in rounds) for s in SYSTEMS}
    ratios = [min(r["jax"]["us"], r["torch"]["us"]) / r["gdsim"]["us"] for r in rounds]
    losses = {s: statistics.median(r[s]["loss"] for r in rounds) for s in SYSTEMS}
    return {"rule": rule, "runs": runs, "us": medians, "ratio": statistics.median(ratios), "ratios": ratios, "loss": losses}


def main() -> None:
    """Measures all rows and prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=500)
    parser.add_argument("--quick", action="store_true", help="256 runs alone")
    parser.add_argument("--json", type=pathlib.Path, help="write the figures to this file too")
    options = parser.parse_args()
    rows = []
    for rule, runs in [r for r in ROWS if not options.quick or r[1] == 256]:
        rounds = [{s: measure(s, rule, runs, options.steps) for s in SYSTEMS} for _ in range(options.rounds)]
        rows.append(row_of(rule, runs, rounds))
        print(f"{rule} {runs}: {rows[-1]['us']} ratio {rows[-1]['ratio']:.2f} losses {rows[-1]['loss']}", file=sys.stderr)
    print("| optimizer, runs | gdsim | JAX vmap | PyTorch bmm | scikit-learn, one by one | gdsim over the faster |\n|---|---|---|---|---|---|")
    for row in rows:
        cells = " | ".join(f"{row['us'][s]:.3g} us" for s in SYSTEMS)
        print(f"| {row['rule'].capitalize()}, {row['runs']} | {cells} | {row['ratio']:.2f}x |")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
