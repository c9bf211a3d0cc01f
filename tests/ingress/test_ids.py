"""Ids are UUIDs of version 7, in the order of their times."""

import os
import random
from datetime import UTC, datetime, timedelta
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from tidegate.app.clock import new_id
from tidegate.core.ids import uuid7
from tidegate.ingress.randomness import random_bits

MOMENT = datetime(2026, 11, 25, 12, 0, 0, 123_000, tzinfo=UTC)


@given(st.integers(min_value=0, max_value=(1 << 74) - 1))
def test_an_id_is_a_uuid_of_version_7_that_holds_its_time(bits: int) -> None:
    text = uuid7(MOMENT, bits)
    parsed = UUID(text)
    assert str(parsed) == text
    assert (parsed.version, parsed.variant) == (7, "specified in RFC 4122")
    assert parsed.int >> 80 == int(MOMENT.timestamp() * 1000)


@given(st.sets(st.integers(min_value=0, max_value=(1 << 74) - 1), min_size=2))
def test_every_random_bit_counts(all_bits: set[int]) -> None:
    assert len({uuid7(MOMENT, bits) for bits in all_bits}) == len(all_bits)


def test_a_later_id_sorts_behind() -> None:
    assert uuid7(MOMENT, (1 << 74) - 1) < uuid7(MOMENT + timedelta(milliseconds=1), 0)


def test_fresh_ids_differ() -> None:
    assert len({new_id() for _ in range(1_000)}) == 1_000


def test_who_seeds_pythons_shared_generator_does_not_bring_ids_back() -> None:
    random.seed(1)
    before = random_bits(74)
    random.seed(1)
    assert random_bits(74) != before


def test_a_forked_process_draws_bits_of_its_own() -> None:
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, str(random_bits(74)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        assert int(pipe.read()) != random_bits(74)
