"""What engines keep as bytes comes back as it was."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from tidegate.engines.stored import decode_fetched, encode_fetched

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.lists(json_values))
def test_fetched_items_come_back(items: list[object]) -> None:
    document = msgspec.json.encode({"updated": items})
    assert decode_fetched(encode_fetched(document)) == document


def test_nothing_fetched_is_nothing_kept() -> None:
    assert encode_fetched(b"") is None
    assert decode_fetched(None) == b""


def test_items_are_kept_smaller_than_they_came() -> None:
    document = msgspec.json.encode([{"number": number, "title": f"Issue {number}"} for number in range(99)])
    assert len(encode_fetched(document) or b"") < len(document) / 2


def test_items_of_an_earlier_release_are_read_as_they_are() -> None:
    assert decode_fetched(b'{"updated":[1]}') == b'{"updated":[1]}'


@given(st.data())
def test_damaged_items_count_as_none(data: st.DataObject) -> None:
    kept = encode_fetched(msgspec.json.encode(list(range(200)))) or b""
    cut = data.draw(st.integers(4, len(kept) - 1))
    assert decode_fetched(kept[:cut]) == b""
