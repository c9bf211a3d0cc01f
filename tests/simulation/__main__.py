"""`python -m tests.simulation`: tries many schedules, or tells one of them step by step."""

import argparse
import sys
import time
from random import Random

from tests.simulation.engines import ENGINES
from tests.simulation.trial import attempt
from tests.simulation.weather import draw


def main() -> int:
    """Answers the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seed", type=int, help="tell this schedule, step by step")
    parser.add_argument("--first", type=int, default=0, help="the seed to begin with")
    parser.add_argument("--count", type=int, default=20_000, help="how many schedules to try")
    parser.add_argument("--engine", choices=ENGINES, default="memory")
    options = parser.parse_args()
    if options.seed is not None:
        found = attempt(options.seed, ENGINES[options.engine], tell=True)
        print("\n".join(found) or "everything held")
        return 1 if found else 0
    seeds = range(options.first, options.first + options.count)
    return 1 if try_all(seeds, options.engine) else 0


def try_all(seeds: range, engine: str) -> int:
    """Print what went wrong, and a line for every thousand schedules; answers how many went wrong."""
    began, wrong = time.monotonic(), 0
    for number, seed in enumerate(seeds, start=1):
        found = attempt(seed, ENGINES[engine])
        if found:
            wrong += 1
            print(f"seed {seed} ({draw(Random(seed)).style}): {'; '.join(found)}")
            print(f"    make simulate SEED={seed} ARGS=--engine={engine}", flush=True)
        if number % 1000 == 0 or number == len(seeds):
            spent = time.monotonic() - began
            print(f"{number} schedules on the engine {engine}, {wrong} wrong, {spent:.0f} s", flush=True)
    return wrong


if __name__ == "__main__":
    sys.exit(main())
