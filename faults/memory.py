"""How much memory a service takes: all its processes, each page that they share counted once (PSS)."""

from pathlib import Path

MEBIBYTE_KIB = 1024


def processes_of(pid: int) -> list[int]:
    """A process and all that descend from it."""
    found = [pid]
    for parent in found:
        try:
            children = Path(f"/proc/{parent}/task/{parent}/children").read_text()
        except OSError:
            continue
        found += [int(child) for child in children.split()]
    return found


def mebibytes_of(pid: int) -> float:
    """What a process and its descendants take now."""
    return sum(map(_kibibytes, processes_of(pid))) / MEBIBYTE_KIB


def _kibibytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
