"""Taking turns: a claim serves every processor once before it serves one twice, and starts where it left off."""

from collections.abc import Mapping, Sequence
from itertools import zip_longest
from typing import TypeVar

RowT = TypeVar("RowT")


def take_turns(due: Mapping[str, Sequence[RowT]], limit: int, last_served: str) -> list[tuple[str, RowT]]:
    """Up to `limit` rows with their processors, in the order in which they are served.

    `due` holds each processor's due rows, oldest first. Turns go by name, from the one after `last_served`.
    """
    names = sorted(due, key=lambda name: (name <= last_served, name))
    rounds = zip_longest(*([(name, row) for row in due[name]] for name in names))
    served = [turn for turns in rounds for turn in turns if turn is not None]
    return served[:limit]
