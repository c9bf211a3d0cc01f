"""Versions as sortable text: the order of the text is the order of the versions."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegate.core.versions import comparable, sortable

NUMBERS = st.integers() | st.floats(allow_nan=False, allow_infinity=False)


@given(NUMBERS, NUMBERS)
def test_numbers_keep_their_order(one: float, other: float) -> None:
    assert (sortable(one) < sortable(other)) == (one < other)
    assert (sortable(one) == sortable(other)) == (one == other)


@given(st.text(), st.text())
def test_strings_keep_their_order(one: str, other: str) -> None:
    assert (sortable(one) < sortable(other)) == (one < other)


@given(NUMBERS | st.text())
def test_no_version_is_lower_than_any(version: float | str) -> None:
    assert sortable(None) == ""
    assert sortable(None) < sortable(version)


@pytest.mark.parametrize("version", [True, [1], {"a": 1}, float("nan"), float("inf")])
def test_what_has_no_order_is_refused(version: object) -> None:
    with pytest.raises(TypeError, match="a version must be"):
        sortable(version)


def test_numbers_and_strings_do_not_compare() -> None:
    assert comparable(sortable(1), sortable(2.5))
    assert not comparable(sortable(1), sortable("2"))
