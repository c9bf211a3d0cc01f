"""`make bench`: Tidegate beside its peers; `python -m bench NAME …` measures single parts instead.

Compare only numbers of one run: machines differ, and so do their days.
"""

import argparse
import subprocess
import sys
from itertools import takewhile

BENCHES = {
    "compare": "Tidegate, its peers and the limit, side by side (without a name)",
    "engine": "the embedded engine's verbs, at growing backlogs",
    "postgres": "the server engine's verbs, at growing backlogs",
    "bloat": "the server engine's verbs, while somebody holds a snapshot open",
    "scaling": "1, 2 and 4 worker processes on one PostgreSQL, with a third party that takes 50 ms",
    "ingress": "the ingress beside servers that do nothing",
    "mapping": "paths, operations and JQ",
    "fetch": "the outgoing client, and Port's",
    "targets": "the embedded catalog in both of its databases, and Port's client with its stub",
    "console": "the console's pages over a million events, and what they cost the ingest",
    "pipeline": "the time that a real service takes, step by step",
}


def main(arguments: list[str]) -> int:
    listing = "\n".join(f"  {name:<9} {what}" for name, what in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="bench",
        usage="bench [NAME …] [OPTIONS of the bench; NAME --help lists them]",
        description=__doc__,
        epilog=f"benches:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    if arguments[:1] == ["--help"]:
        parser.parse_args(["--help"])
    names = list(takewhile(lambda argument: not argument.startswith("-"), arguments))
    options = arguments[len(names) :]
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    failed = 0
    for name in names or ["compare"]:
        print(f"\n== {name}: {BENCHES[name]}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}", *options], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
