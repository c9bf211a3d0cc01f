"""`python -m faults [NAME …] [--scale N] [--seed N]`: try faults, print a table, exit with 1 if anything is lost."""

import argparse
import random
import sys

from rich.console import Console
from rich.table import Table

from faults.scenarios import SCENARIOS
from faults.trial import Reckoning


def main() -> int:
    parser = argparse.ArgumentParser(prog="faults", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(SCENARIOS)}; none: all")
    parser.add_argument("--scale", type=float, default=1.0, help="how long each is (1: up to some minutes)")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(SCENARIOS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(SCENARIOS)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    console = Console()
    console.print(f"seed {seed}")
    reckonings: list[Reckoning] = []
    for name in options.names or list(SCENARIOS):
        with console.status(f"{name} …"):
            reckonings.append(SCENARIOS[name](seed, options.scale))
        console.print(f"{'ok  ' if reckonings[-1].clean else 'BAD '} {reckonings[-1]}")
    console.print(_table(reckonings))
    return 0 if all(reckoning.clean for reckoning in reckonings) else 1


def _table(reckonings: list[Reckoning]) -> Table:
    table = Table(title="Faults tried and events lost")
    for column in ("fault", "times", "events accepted", "fetches", "lost", "stale", "seconds", ""):
        table.add_column(column, justify="left" if column in ("fault", "") else "right")
    for r in reckonings:
        cells = (r.tried, r.accepted, r.fetches, r.lost, r.stale, f"{r.seconds:.0f}")
        table.add_row(r.fault, *map(str, cells), "; ".join(filter(None, (r.detail, r.note))))
    return table


if __name__ == "__main__":
    sys.exit(main())
