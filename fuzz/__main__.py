"""`python -m fuzz [TARGET …] [--seconds N]`: fuzz each target so long, print what was tried; 1 if one fell.

Inputs that reach new code are kept in fuzz/corpus/<target>, and an input that broke something in fuzz/found. Give the
file of such an input to `python -m fuzz.run TARGET FILE` to see it again.
"""

import argparse
import importlib.util
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

HERE = Path(__file__).parent
TARGETS = ("wire", "bodies", "mapping")
LONGEST_INPUT_BYTES = 4_096
SLOWEST_INPUT_SECONDS = 10


@dataclass(frozen=True)
class Outcome:
    """What fuzzing one target came to. `found` is what it said of a broken promise; empty: none was."""

    target: str
    inputs: int
    kept: int
    seconds: float
    found: str

    def __str__(self) -> str:
        return f"{self.target}: {self.inputs} inputs in {self.seconds:.0f} s, {self.kept} kept {self.found}".rstrip()


def unavailable() -> str:
    """Why fuzzing is not possible here; empty if it is."""
    if importlib.util.find_spec("atheris") is None:
        return "skipped: atheris has no wheel for this Python or machine"
    return ""


def fuzz(target: str, *limits: str, corpus: Path | None = None) -> Outcome:
    """Run one target in a process of its own, within libFuzzer's `limits`: `-max_total_time=60`, `-runs=10000`.

    New inputs go to `corpus`; None: into the one that is kept.
    """
    kept = HERE / "corpus" / target
    corpus = corpus or kept
    found = HERE / "found"
    for directory in (kept, corpus, found):
        directory.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "fuzz.run", target, str(corpus), str(kept)]
    command += [*limits, f"-max_len={LONGEST_INPUT_BYTES}", "-print_final_stats=1"]
    command += [
        f"-timeout={SLOWEST_INPUT_SECONDS}",
        f"-artifact_prefix={found}/{target}-",
        "-rss_limit_mb=2048",
    ]
    began = time.monotonic()
    ended = subprocess.run(
        command, capture_output=True, text=True, errors="replace", check=False, cwd=HERE.parent
    )
    tried = re.search(r"stat::number_of_executed_units:\s+(\d+)", ended.stderr)
    said = "" if ended.returncode == 0 else f"\n{ended.stdout[-1000:]}{ended.stderr[-3000:]}"
    inputs = int(tried[1]) if tried else 0
    return Outcome(target, inputs, len(list(corpus.iterdir())), time.monotonic() - began, said)


def main() -> int:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of: {', '.join(TARGETS)}; none: all")
    parser.add_argument("--seconds", type=int, default=600, help="for each target")
    options = parser.parse_args()
    unknown = sorted(set(options.targets) - set(TARGETS))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(TARGETS)}")
    console = Console()
    if reason := unavailable():
        console.print(reason)
        return 0
    limit = f"-max_total_time={options.seconds}"
    with ThreadPoolExecutor(2) as pool:
        outcomes = list(pool.map(lambda target: fuzz(target, limit), options.targets or TARGETS))
    table = Table("target", "inputs tried", "kept", "seconds", "promises broken")
    for outcome in outcomes:
        row = (
            outcome.target,
            outcome.inputs,
            outcome.kept,
            f"{outcome.seconds:.0f}",
            int(bool(outcome.found)),
        )
        table.add_row(*map(str, row))
        if outcome.found:
            console.print(outcome, markup=False)
    console.print(table)
    return 1 if any(outcome.found for outcome in outcomes) else 0


if __name__ == "__main__":
    sys.exit(main())
