"""Dead letters by cause: errors that differ only in names and numbers are one cause, and have one remedy."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import blake2b

from tidegate.core.causes import cause_of
from tidegate.core.inspection import RunRecord
from tidegate.core.lifecycle import EventState

_ADVICE: tuple[tuple[str, str], ...] = (
    (
        r"no processor named",
        "The processor that these runs need is not registered any more. Bring it back and redrive, or discard them.",
    ),
    (
        r"\b(401|403)\b|unauthori[sz]ed|forbidden",
        "The third party refused the credentials. Renew the token in the integration's settings, restart, redrive.",
    ),
    (r"\b429\b|rate.?limit", "The third party asked for patience. Redrive when its limit has recovered."),
    (
        r"\b5\d\d\b|timed? ?out|took more than|connect|unreachable|refused the connection|reset by peer",
        "The third party was out or slow. See whether it answers again, then redrive.",
    ),
    (
        r"the target refused",
        "The catalog refused the entity; the reason says which field. Mend the mapping, restart, redrive.",
    ),
    (
        r"worker died|lease",
        "The process died while it worked on these: out of memory, or killed. Redrive one alone and watch it.",
    ),
    (r"\b404\b|not found", "What the event is about is gone at the third party. Discard if that is meant."),
    (
        r"older than|stale",
        "The third party kept answering with an older version than the event announced. Redrive.",
    ),
    (
        r"cannot be read|not valid JSON|not an object|unreadable",
        "What was received or stored cannot be read. Nothing will mend that: discard, and ask the sender.",
    ),
    (
        r"\b[A-Z]\w*(Error|Exception)\b",
        "The processor's code raised this. The attempt shows at which step: mend the code, deploy it, redrive.",
    ),
)
_OTHERWISE = "Open one of them and read its last attempt. When the cause is mended, redrive them all."


@dataclass(frozen=True, slots=True)
class Cause:
    """Dead runs that share a cause. `key` names it in addresses; `newest` are some of them. `example` is one
    of the errors, if they are not all the same.
    """

    key: str
    processor: str
    kind: str
    text: str
    advice: str
    example: str
    count: int
    first_at: datetime
    last_at: datetime
    newest: tuple[RunRecord, ...]

    @property
    def is_of_mapping(self) -> bool:
        """True if another mapping may mend it: the playground has what was fetched."""
        return "the target refused" in self.text


def cause_key(run: RunRecord) -> str:
    """The cause of a dead run, as a short key."""
    text = "\0".join((run.processor, run.kind, cause_of(run.detail)))
    return blake2b(text.encode(), digest_size=6).hexdigest()


def advice_for(text: str) -> str:
    """What to do about a cause."""
    for pattern, advice in _ADVICE:
        if re.search(pattern, text, re.IGNORECASE if pattern.islower() else 0):
            return advice
    return _OTHERWISE


def event_advice(state: EventState, reason: str) -> str:
    """What to do about an event that did not end well; empty if there is nothing to do."""
    match state:
        case EventState.REJECTED:
            return (
                "The processor's authenticate or validate_payload said no: as a rule the secret is not the one that"
                " the sender signs with. Mend it, restart, then press Replay."
            )
        case EventState.IGNORED:
            return (
                "If it should have been processed, look at the processor's should_process_event and"
                " get_matching_kinds, and at the kinds of the mapping. Mend that, restart, then press Replay."
            )
        case EventState.DEAD:
            return advice_for(reason)
        case _:
            return ""


def causes_of(members: Mapping[str, list[RunRecord]], examples: int) -> list[Cause]:
    """Dead runs (newest first) by their causes' keys, as causes, the most frequent first."""
    causes = [_cause(key, found, examples) for key, found in members.items()]
    return sorted(causes, key=lambda cause: (-cause.count, cause.key))


def _cause(key: str, runs: list[RunRecord], examples: int) -> Cause:
    newest = runs[0]
    ends = [run.finished_at or run.created_at for run in runs]
    same = all(run.detail == newest.detail for run in runs)
    return Cause(
        key=key,
        processor=newest.processor,
        kind=newest.kind,
        text=(newest.detail if same else cause_of(newest.detail)) or "no reason was given",
        advice=advice_for(newest.detail),
        example="" if same else newest.detail,
        count=len(runs),
        first_at=min(ends),
        last_at=max(ends),
        newest=tuple(runs[:examples]),
    )
