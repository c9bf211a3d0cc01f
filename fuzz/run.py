"""`python -m fuzz.run TARGET [CORPUS …] [-option=value …]`: one target in this process, by atheris (libFuzzer's options).

A file instead of a directory is run once. The target's seeds are put into the first directory.
"""

import hashlib
import importlib
import sys
from pathlib import Path

import atheris


def main(target: str, arguments: list[str]) -> None:
    with atheris.instrument_imports(include=["tidegate"]):
        module = importlib.import_module(f"fuzz.targets.{target}")
    directories = [Path(each) for each in arguments if not each.startswith("-")]
    if directories and directories[0].is_dir():
        for seed in module.SEEDS:
            (directories[0] / hashlib.sha1(seed, usedforsecurity=False).hexdigest()).write_bytes(seed)
    atheris.Setup([sys.argv[0], *arguments], module.one)
    atheris.Fuzz()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
