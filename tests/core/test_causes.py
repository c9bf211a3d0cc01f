"""Errors that differ only in names and numbers have one cause; statuses keep them apart."""

import pytest

from tidegate.core.causes import MAX_CAUSE_CHARACTERS, cause_of


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (
            "gave up after 4 attempts: FetchFailedError: GET http://api.example:8080/issues/17 answered 502",
            "FetchFailedError: GET http://api.example/… answered 502",
        ),
        (
            "https://api.example/a answered 404: no such thing",
            "https://api.example/… answered 404: no such thing",
        ),
        ("KeyError: 'number-17'", "KeyError: '…'"),
        ("event 0190f3aa-1c2d-7000-8000-00000000abcd is odd", "event … is odd"),
        ("the run took more than 0.5 s", "the run took more than N s"),
        (
            "the target refused 1 of 2 entities: service/shop-1: relation team: entity team/a does not exist",
            "the target refused N of N entities: service/…: relation team: entity team/… does not exist",
        ),
        (
            "the target is paused: Port answered 429: slow down",
            "the target is paused: Port answered 429: slow down",
        ),
        ("defaced facade", "defaced facade"),
        ("two\n  lines", "two lines"),
        ("", ""),
    ],
)
def test_names_and_numbers_of_one_case_are_left_out(error: str, cause: str) -> None:
    assert cause_of(error) == cause


def test_long_texts_are_cut() -> None:
    assert len(cause_of("long " * 1000)) == MAX_CAUSE_CHARACTERS
