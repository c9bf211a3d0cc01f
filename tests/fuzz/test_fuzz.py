"""Every input that fuzzing has kept, again: those that reach what others do not, and those that broke something.

`make fuzz` looks for new ones. It is no test, since what it finds would hang on chance and not on the change at hand.
"""

from pathlib import Path

import pytest

from fuzz.__main__ import HERE, TARGETS, fuzz, unavailable

KEPT_AND_NO_MORE = "-runs=0"


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_no_promise_is_broken(target: str, tmp_path: Path) -> None:
    if reason := unavailable():
        pytest.skip(reason)
    outcome = fuzz(target, KEPT_AND_NO_MORE, corpus=tmp_path)
    assert outcome.found == ""
    assert outcome.inputs >= len(list((HERE / "corpus" / target).iterdir()))
