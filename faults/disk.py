"""A file system so small that it can be filled."""

import os
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

MEBIBYTES = 24
BALLAST = "ballast"


@contextmanager
def small_disk(mebibytes: int = MEBIBYTES) -> Generator[Path]:
    """Mount one in memory. Raises PermissionError without the right to mount."""
    with tempfile.TemporaryDirectory(prefix="tidegate-disk-") as directory:
        command = ["mount", "-t", "tmpfs", "-o", f"size={mebibytes}m", "tmpfs", directory]
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            raise PermissionError("mounting a small file system needs root: this fault was not tried")
        try:
            yield Path(directory)
        finally:
            subprocess.run(["umount", "--lazy", directory], check=True)


def fill(disk: Path) -> None:
    """Take all the room there is."""
    block = os.urandom(4096)
    with (disk / BALLAST).open("wb", buffering=0) as ballast:
        try:
            while True:
                ballast.write(block)
        except OSError:
            return


def free(disk: Path) -> None:
    """Give it back."""
    (disk / BALLAST).unlink()
