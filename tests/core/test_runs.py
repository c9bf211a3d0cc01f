"""Lanes: what runs are serialised and coalesced by."""

from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.entities import EntityRef
from tidegate.core.runs import lane_of, refresh_lane_of

PARTS = st.tuples(st.text(max_size=3), st.text(max_size=3), st.text(max_size=3))


@given(PARTS, PARTS)
def test_lanes_are_equal_exactly_if_their_parts_are(
    one: tuple[str, str, str], two: tuple[str, str, str]
) -> None:
    assert (lane_of(*one) == lane_of(*two)) == (one == two)


@given(PARTS, st.text(max_size=3), st.text(max_size=3))
def test_refresh_lanes_are_lanes_of_their_own(parts: tuple[str, str, str], blueprint: str, name: str) -> None:
    processor, config, key = parts
    refresh = refresh_lane_of(processor, config, EntityRef(blueprint, name))
    assert refresh != lane_of(processor, config, key)
    other = EntityRef(blueprint + name, "")
    assert (refresh == refresh_lane_of(processor, config, other)) == (name == "")


def test_without_a_key_there_is_no_lane() -> None:
    assert lane_of("P", "issue", None) is None
    assert lane_of("P", "issue", "") is not None


def test_lanes_stay_what_they_are_from_version_to_version() -> None:
    assert lane_of("P", "issue", "1") == "1bf83e49b582fc35639b2fe54e03f6a0"
