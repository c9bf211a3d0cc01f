"""Calls the verbs: functions in the database, each call one statement and so one transaction.

No lock outlives a round trip: a program that is stopped, or cut off, holds up nobody. And no session state is
needed, so that a pooler may stand between.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from tidegate.core.ports import Clock
from tidegate.engines.instants import span_us, to_us
from tidegate.postgres import Connections, Release, Row


@dataclass(frozen=True, slots=True)
class Verbs:
    """The functions of a release. `clock` is None, and the database's time decides, but for tests."""

    connections: Connections
    release: Release
    lease_seconds: float
    max_backlog: int
    clock: Clock | None
    poll_seconds: float = 1.0

    async def call(self, verb: str, **values: Any) -> list[Row]:
        """Call a function with values by the names of its parameters. Raises what psycopg raises."""
        values = {**self._common(verb), **values}
        arguments = ", ".join(
            f"{name} => %({name})s::{PARAMETER_TYPES.get(name, 'text[]')}" for name in values
        )
        return await self.connections.rows(
            f'SELECT * FROM "{self.release.verbs_schema}".{verb}({arguments})',  # noqa: S608 - own text
            values,
        )

    def _common(self, verb: str) -> dict[str, Any]:
        given: dict[str, Any] = {}
        if verb not in _TIMELESS:
            given["given_us"] = None if self.clock is None else to_us(self.clock.now())
        if verb in _LENDING:
            given["lease_us"] = span_us(self.lease_seconds)
        if verb in _CLAIMING:
            given["within_us"] = span_us(self.poll_seconds)
        return given


def stored_text(text: str) -> str:
    """Text as PostgreSQL can keep it: it has no place for the character NUL, which becomes its picture."""
    return text.replace("\0", "\u2400") if "\0" in text else text


def stored_texts(texts: Iterable[str | None]) -> list[str | None]:
    """`stored_text` of each that is one."""
    return [None if text is None else stored_text(text) for text in texts]


_TIMELESS = frozenset({"stage", "prune", "gather_counters"})
_LENDING = frozenset({"claim_events", "claim_runs", "renew"})
_CLAIMING = frozenset({"claim_events", "claim_runs"})
PARAMETER_TYPES = {
    **dict.fromkeys(
        (
            "given_us",
            "lease_us",
            "max_backlog",
            "its_id",
            "its_seq",
            "its_token",
            "before_us",
            "from_us",
            "kept_us",
            "within_us",
            "low_seq",
            "low_lease_us",
        ),
        "bigint",
    ),
    **dict.fromkeys(("why", "last_served", "passed_on"), "text"),
    **dict.fromkeys(
        ("ids", "seqs", "tokens", "received", "delivery_hashes", "delays", "run_delays", "low_dues"),
        "bigint[]",
    ),
    **dict.fromkeys(("askers", "writers", "droppers"), "integer[]"),
    **dict.fromkeys(("failed", "completes", "upserts"), "boolean[]"),
    **dict.fromkeys(("all_headers", "bodies", "trails", "fetched", "documents", "digests"), "bytea[]"),
    "everything": "boolean",
    "most": "integer",
    "deleted": "bytea",
    "sample": "bytea",
}
