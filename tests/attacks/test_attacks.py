"""A small helping of every attack that needs little time; `make attack` serves them all."""

import pytest

from attacks.__main__ import ATTACKS, cells
from attacks.tally import Tally
from fuzz.__main__ import unavailable

QUICK = ("deliveries", "http", "bombs", "urls", "admin")


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_accepted_wrongly_and_nothing_crashes(name: str) -> None:
    tally = ATTACKS[name](7, 0.1)
    assert tally.examples == []
    assert tally.clean
    assert tally.tried == tally.refused > 15


@pytest.mark.slow
def test_fuzzing_has_its_row() -> None:
    if reason := unavailable():
        pytest.skip(reason)
    tally = ATTACKS["fuzz-bodies"](7, 0.1)
    assert tally.examples == []
    assert tally.tried > 100
    assert cells(tally)[2] == "–"


def test_what_fell_is_told() -> None:
    tally = Tally("an attack")
    tally.refuse()
    tally.accept_wrongly("this")
    tally.crash("that")
    assert not tally.clean
    assert cells(tally) == ["an attack", "3", "1", "1", "1", ""]
    assert tally.examples == ["accepted: this", "crashed: that"]
