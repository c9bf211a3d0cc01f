"""Runs every check that is not a test, two at a time, and shows how long each took.

A check that cannot be done here says so in a line that begins with "skipped:", and passes.

`scripts/check.py lint types` runs some of them.
"""

import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
BIN = Path(sys.executable).parent
AT_ONCE = 2


@dataclass(frozen=True)
class Check:
    """A command that must end with 0. It runs in the project's directory."""

    name: str
    command: tuple[str, ...]


@dataclass(frozen=True)
class Finding:
    """What a check said."""

    name: str
    passed: bool
    seconds: float
    output: str


def tool(name: str, *arguments: str) -> tuple[str, ...]:
    return (str(BIN / name), *arguments)


CHECKS = (
    Check("types", tool("basedpyright")),  # the longest first, so that the rest fits beside it
    Check("docs", tool("mkdocs", "build", "--strict", "--quiet", "--site-dir", ".tidegate/site")),
    Check("layers", tool("lint-imports", "--no-cache")),
    Check("dead code", tool("vulture")),
    Check("lint", tool("ruff", "check", "--quiet", ".")),
    Check("format", tool("ruff", "format", "--check", "--quiet", ".")),
    Check("image", tool("hadolint", "Dockerfile")),
    Check("compose", tool("check-jsonschema", "--builtin-schema", "vendor.compose-spec", "compose.yaml")),
    Check("locks", (sys.executable, __file__, "--locks")),
    Check("audit", (sys.executable, "-m", "scripts.audit")),
)


def run(check: Check) -> Finding:
    started = time.monotonic()
    ended = subprocess.run(
        check.command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    return Finding(check.name, ended.returncode == 0, time.monotonic() - started, ended.stdout.strip())


def main(names: list[str]) -> int:
    known = [check.name for check in CHECKS]
    unknown = sorted(set(names) - set(known))
    if unknown:
        print(f"no such check: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [check for check in CHECKS if not names or check.name in names]
    started = time.monotonic()
    failed: list[Finding] = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for finding in pool.map(run, chosen):
            print(
                f"{'ok    ' if finding.passed else 'FAILED'}  {finding.name:<10} {finding.seconds:5.1f} s",
                flush=True,
            )
            if finding.passed and finding.output.startswith("skipped:"):
                print(f"        {finding.output}", flush=True)
            if not finding.passed:
                failed.append(finding)
    for finding in failed:
        print(f"\n--- {finding.name}\n{finding.output}")
    print(f"{len(chosen) - len(failed)} of {len(chosen)} checks passed in {time.monotonic() - started:.1f} s")
    return 1 if failed else 0


# --- Locks: every requirement is pinned at a version that it allows, and no file names a registry ----------


def lock_faults() -> Iterator[str]:
    """What is stale or wrong about requirements/*.txt."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    runs: list[str] = [
        *project["project"]["dependencies"],
        *project["project"]["optional-dependencies"]["console"],
        *project["project"]["optional-dependencies"]["verify"],
    ]
    wanted = {
        "run": runs,
        "dev": [*runs, *project["dependency-groups"]["dev"], *project["build-system"]["requires"]],
        "build": [*read("build.in").split(), *project["build-system"]["requires"]],
        **{name: read(f"{name}.in").split() for name in ("mlflow", "bench", "ocean")},
    }
    tested = pins(read("dev.txt"))
    for name, requirements in wanted.items():
        text = read(f"{name}.txt")
        if "://" in text:
            yield f"requirements/{name}.txt names an address: locks must work with any index"
        pinned = pins(text)
        for requirement in map(Requirement, requirements):
            yield from requirement_faults(name, requirement, pinned)
        if name in {"run", "build"}:
            strangers = sorted(
                package for package, versions in pinned.items() if not versions <= tested[package]
            )
            yield from (
                f"requirements/{name}.txt: {package} is not the tested version" for package in strangers
            )


def requirement_faults(lock: str, requirement: Requirement, pinned: dict[str, set[str]]) -> Iterator[str]:
    versions = pinned.get(canonicalize_name(requirement.name), set())
    if not versions:
        yield f"requirements/{lock}.txt does not have {requirement.name}"
    for version in versions:
        if not requirement.specifier.contains(version, prereleases=True):
            yield f"requirements/{lock}.txt has {requirement.name} {version}, but {requirement} is wanted"


def read(name: str) -> str:
    return (ROOT / "requirements" / name).read_text(encoding="utf-8")


def pins(lock: str) -> dict[str, set[str]]:
    """Package to locked versions (several, where they differ by Python or platform)."""
    found: dict[str, set[str]] = {}
    for line in lock.splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            name, _, rest = line.partition("==")
            found.setdefault(canonicalize_name(name), set()).add(rest.split()[0])
    return found


def check_locks() -> int:
    faults = list(lock_faults())
    print("\n".join([*faults, "run `make lock`"] if faults else []))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(check_locks() if sys.argv[1:] == ["--locks"] else main(sys.argv[1:]))
