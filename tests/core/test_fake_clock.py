"""The test kit's clock."""

import pytest

from tidegate.testing.clock import START, FakeClock


def test_both_times_move_together_and_watchers_are_told() -> None:
    clock = FakeClock()
    seen: list[float] = []
    clock.on_advance(lambda: seen.append(clock.monotonic()))
    clock.advance(1.5)
    clock.advance(0)
    assert (clock.now() - START).total_seconds() == clock.monotonic() == 1.5
    assert seen == [1.5, 1.5]


def test_it_never_goes_back() -> None:
    clock = FakeClock()
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1)
