"""`python -m attacks [NAME …] [--scale N] [--seed N] [--record]`: attack, print a table, exit with 1 if anything fell.

`--record` puts the table, with its conditions, into docs/explanation/security.md.
"""

import argparse
import os
import platform
import random
import re
import sys
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console
from rich.table import Table

from attacks.floods import floods
from attacks.http import admin_door, bombs, broken_http, forged_deliveries
from attacks.inside import hostile_mappings, private_urls
from attacks.signatures import signatures
from attacks.tally import Tally
from fuzz.__main__ import TARGETS, fuzz, unavailable

PAGE = Path(__file__).parent.parent / "docs" / "explanation" / "security.md"
BLOCK = re.compile(r"(<!-- attacks -->\n).*?(<!-- end of attacks -->)", re.DOTALL)
FUZZ_SECONDS = 20

COLUMNS = ("attack", "tried", "refused", "accepted wrongly", "crashes", "")


def fuzzed(target: str, seed: int, scale: float) -> Tally:
    """Whether an input should be refused, nobody knows beforehand; a broken promise is a crash."""
    tally = Tally(f"fuzzing guided by coverage: {target}", refused=None, detail=unavailable())
    if tally.detail:
        return tally
    with TemporaryDirectory() as corpus:
        seconds = max(1, round(FUZZ_SECONDS * scale))
        outcome = fuzz(target, f"-max_total_time={seconds}", corpus=Path(corpus))
    tally.tried = outcome.inputs
    tally.detail = f"{outcome.seconds:.0f} s; every promise kept"
    if outcome.found:
        tally.crash(outcome.found)
    return tally


ATTACKS: Mapping[str, Callable[[int, float], Tally]] = {
    "signatures": signatures,
    "deliveries": forged_deliveries,
    "http": broken_http,
    "bombs": bombs,
    "floods": floods,
    "urls": private_urls,
    "mappings": hostile_mappings,
    "admin": admin_door,
    **{f"fuzz-{target}": partial(fuzzed, target) for target in TARGETS},
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="attacks", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of: {', '.join(ATTACKS)}; none: all")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of each")
    parser.add_argument("--seed", type=int, default=None, help="to repeat a run")
    parser.add_argument("--record", action="store_true", help=f"write the table into {PAGE.name}")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(ATTACKS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(ATTACKS)}")
    seed = options.seed if options.seed is not None else random.SystemRandom().randrange(1_000_000)
    console = Console()
    began = time.monotonic()
    tallies: list[Tally] = []
    for name in options.names or list(ATTACKS):
        with console.status(f"{name} …"):
            tallies.append(ATTACKS[name](seed, options.scale))
        console.print(
            f"{'ok  ' if tallies[-1].clean else 'BAD '} {name}", *tallies[-1].examples[:5], markup=False
        )
    table = Table(*COLUMNS, title="Attacks and what became of them")
    for tally in tallies:
        table.add_row(*cells(tally))
    console.print(table)
    if options.record:
        record(tallies, conditions(seed, options.scale, time.monotonic() - began))
    return 0 if all(tally.clean for tally in tallies) else 1


def cells(tally: Tally) -> list[str]:
    return [
        tally.attack,
        f"{tally.tried:,}",
        "–" if tally.refused is None else f"{tally.refused:,}",
        str(tally.wrong),
        str(tally.crashes),
        tally.detail,
    ]


def conditions(seed: int, scale: float, seconds: float) -> str:
    return (
        f"`make attack`, {datetime.now(UTC):%Y-%m-%d}: seed {seed}, scale {scale:g}, {seconds:.0f} s; "
        f"{platform.system()}, Python {platform.python_version()}, {os.cpu_count()} cores shared with other work."
    )


def record(tallies: list[Tally], said: str) -> None:
    """Write the table between the marks of the page."""
    rows = [COLUMNS, ("---", "---:", "---:", "---:", "---:", "---"), *map(cells, tallies)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    text = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(
        BLOCK.sub(lambda found: f"{found[1]}\n{said}\n\n{table}\n\n{found[2]}", text), encoding="utf-8"
    )


if __name__ == "__main__":
    sys.exit(main())
