"""The cause behind an error's text: what is left of it without the names and numbers of one case.

Errors that differ only in those count as one, so that a thousand dead letters of one outage are one line.
"""

import re

MAX_CAUSE_CHARACTERS = 200

_PREFIX = re.compile(r"^gave up after \d+ attempts: ")
_RULES = (
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://[^\s/?#:,;'\"]+)(?::\d+)?[^\s,;'\"]*(?<![:.)])"), r"\1/…"),
    (re.compile(r"'[^']*'|\"[^\"]*\""), "'…'"),
    (re.compile(r"\b(?=[0-9a-f-]*\d)[0-9a-f]{8}[0-9a-f-]*\b"), "…"),
    (re.compile(r"(?<![/…\w])(\w[\w-]*)/[^\s:;,)]+"), r"\1/…"),
    (re.compile(r"(?<!answered )(?<!status )(?<!HTTP )(?<![\d.])\d+(?:\.\d+)*"), "N"),
)


def cause_of(error: str) -> str:
    """An error's text in one line, with addresses, quoted texts, ids and numbers left out; statuses stay."""
    cause = _PREFIX.sub("", " ".join(error.split()))
    for pattern, short in _RULES:
        cause = pattern.sub(short, cause)
    return cause if len(cause) <= MAX_CAUSE_CHARACTERS else f"{cause[: MAX_CAUSE_CHARACTERS - 1]}…"
