"""Processors take turns."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from tidegate.engines.turns import take_turns

DUE = st.dictionaries(st.sampled_from("ABCD"), st.lists(st.integers(), max_size=5))
LIMITS = st.integers(0, 12)


@given(DUE, LIMITS, st.sampled_from(["", *"ABCD"]))
def test_turns_are_fair_and_keep_each_processors_order(
    due: dict[str, list[int]], limit: int, last_served: str
) -> None:
    served = take_turns(due, limit, last_served)
    assert len(served) == min(limit, sum(map(len, due.values())))
    for name, rows in due.items():
        mine = [row for turn, row in served if turn == name]
        assert mine == rows[: len(mine)]
        waits = len(mine) < len(rows)
        counts = Counter(turn for turn, _ in served)
        assert not waits or all(counts[other] <= len(mine) + 1 for other in due)


@given(st.permutations("ABCD"), st.integers(0, 3))
def test_served_one_by_one_nobody_is_forgotten(names: list[str], start: int) -> None:
    last, served = "ABCD"[start], list[str]()
    for _ in range(8):
        [(last, _)] = take_turns({name: [0, 1] for name in names}, 1, last)
        served.append(last)
    assert Counter(served) == Counter(dict.fromkeys("ABCD", 2))
