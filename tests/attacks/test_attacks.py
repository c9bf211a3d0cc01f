"""A small helping of every attack that needs little time; `make attack` serves them all."""

import pytest

from attacks.__main__ import ATTACKS

QUICK = ("deliveries", "http", "bombs", "urls", "admin")


@pytest.mark.slow
@pytest.mark.parametrize("name", QUICK)
def test_nothing_is_accepted_wrongly_and_nothing_crashes(name: str) -> None:
    tally = ATTACKS[name](7, 0.1)
    assert tally.examples == []
    assert tally.clean
    assert tally.tried == tally.refused > 15
