"""Are there known weaknesses in what the locks name? Asks the package registry, by way of pip-audit.

Not every registry knows, and a machine may be offline. Then nothing was checked, and this says so, where pip-audit
would say that it found nothing.
"""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ("run", "dev")
TIMEOUT_SECONDS = 50
OPTIONS = ("--disable-pip", "--require-hashes", "--format=json", "--progress-spinner=off", "--timeout=5")


def main() -> int:
    locks = [f"--requirement={ROOT / 'requirements' / f'{name}.txt'}" for name in LOCKS]
    command = [sys.executable, "-m", "pip_audit", *OPTIONS, *locks]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        print(f"skipped: the registry did not answer within {TIMEOUT_SECONDS} s")
        return 0
    try:
        packages = json.loads(ended.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        print(f"skipped: {last_line(ended.stderr)}")
        return 0
    return verdict(packages)


def verdict(packages: list[dict[str, Any]]) -> int:
    """1 if a weakness is known, 0 if none is, or if the registry does not know the packages."""
    known = [package for package in packages if "skip_reason" not in package]
    weak = [(package, found) for package in known for found in package["vulns"]]
    for package, found in weak:
        mended = ", ".join(found["fix_versions"]) or "no version yet"
        print(
            f"{package['name']} {package['version']}: {found['id']}, mended in {mended}: `make lock ARGS=--upgrade`"
        )
    if weak:
        return 1
    if not known:
        print("skipped: the registry has no records of weaknesses: run it where one has them")
    else:
        print(f"{len(known)} of {len(packages)} packages are on record, without a known weakness")
    return 0


def last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1][:200] if lines else "pip-audit said nothing"


if __name__ == "__main__":
    sys.exit(main())
