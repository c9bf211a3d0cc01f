"""`make bench`: run the measurements one after the other; `python -m bench NAME …` runs some.

Each prints its own conditions. Compare only numbers of one run: machines differ, and so do their days.
"""

import argparse
import subprocess
import sys

BENCHES = {
    "engine": "the embedded engine's verbs, at growing backlogs",
    "ingress": "the ingress beside servers that do nothing",
    "mapping": "native, mixed and all-JQ mappings",
    "targets": "the embedded catalog, and Port's client with its stub",
    "pipeline": "a real service from webhook to entity",
}


def main() -> int:
    listing = "\n".join(f"  {name:<9} {what}" for name, what in BENCHES.items())
    parser = argparse.ArgumentParser(
        prog="bench",
        description=__doc__,
        epilog=f"benches:\n{listing}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("names", nargs="*", metavar="NAME")
    names = parser.parse_args().names
    unknown = sorted(set(names) - set(BENCHES))
    if unknown:
        parser.error(f"unknown: {', '.join(unknown)}; there are: {', '.join(BENCHES)}")
    failed = 0
    for name in names or BENCHES:
        print(f"\n== {name}: {BENCHES[name]}", flush=True)
        failed |= subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
