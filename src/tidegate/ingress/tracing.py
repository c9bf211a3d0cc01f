"""The trace that an event belongs to: the sender's, if it names one as W3C Trace Context asks, else a new one."""

import re

from tidegate.ingress.randomness import random_bits

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?")


def trace_id_of(traceparent: str | None) -> str:
    """The 32 hex digits of a valid `traceparent` (W3C Trace Context §3.2), else of a new trace."""
    if traceparent is not None:
        match = _TRACEPARENT.fullmatch(traceparent.strip())
        if match is not None and _is_valid(*match.groups()):
            return match[2]
    return f"{random_bits(128):032x}"


def _is_valid(version: str, trace: str, parent: str, rest: str | None) -> bool:
    known_shape = version != "ff" and (version != "00" or rest is None)
    return known_shape and trace.strip("0") != "" and parent.strip("0") != ""
