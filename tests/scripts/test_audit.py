"""What the audit of the locks makes of pip-audit's answer, above all of an answer that says nothing."""

import pytest

from scripts.audit import last_line, verdict

SOUND = {"name": "sound", "version": "1.0", "vulns": []}
UNKNOWN = {"name": "unknown", "skip_reason": "Dependency not found"}
WEAK = {"name": "weak", "version": "2.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["2.1"]}]}


@pytest.mark.parametrize(
    ("packages", "code", "says"),
    [
        ([SOUND, UNKNOWN], 0, "1 of 2 packages are on record"),
        ([UNKNOWN], 0, "skipped: the registry has no records"),
        ([], 0, "skipped: the registry has no records"),
        ([SOUND, WEAK], 1, "weak 2.0: PYSEC-1, mended in 2.1"),
    ],
)
def test_a_verdict_says_what_was_checked(
    capsys: pytest.CaptureFixture[str], packages: list[dict[str, object]], code: int, says: str
) -> None:
    assert verdict(packages) == code
    assert says in capsys.readouterr().out


def test_an_error_is_told_in_one_line() -> None:
    assert last_line("Traceback\n  …\nConnectionError: offline\n") == "ConnectionError: offline"
    assert last_line("") == "pip-audit said nothing"
