"""A short fuzz of every target, from the corpus that is kept; `make fuzz` goes on for longer."""

from pathlib import Path

import pytest

from fuzz.__main__ import HERE, TARGETS, fuzz, unavailable

SECONDS = 10


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_promise_is_broken(target: str, tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    outcome = fuzz(target, SECONDS, tmp_path)
    assert outcome.found == ""
    assert outcome.inputs > len(list((HERE / "corpus" / target).iterdir()))
