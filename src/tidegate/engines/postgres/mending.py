"""Mending and tidying: dead runs put back or given up, finished events forgotten."""

from dataclasses import dataclass
from datetime import datetime

from tidegate.core.inspection import RunFilter
from tidegate.engines.filters import run_conditions
from tidegate.engines.instants import to_us
from tidegate.engines.postgres.calls import Verbs
from tidegate.engines.postgres.reader import Look

AT_ONCE = 500
"""Runs that are mended, and events that are forgotten, in one transaction."""


async def dead_runs(look: Look, where: RunFilter, limit: int) -> list[int]:
    """The ids of dead runs that match, oldest first."""
    conditions = run_conditions(where)
    conditions.add("runs.state = 'dead'")
    query = f"SELECT id FROM runs WHERE {conditions.where} ORDER BY id LIMIT ?"  # noqa: S608 - own text
    return [run_id for (run_id,) in await look.rows(query, (*conditions.values, max(limit, 0)))]


async def mend(verbs: Verbs, verb: str, ids: list[int]) -> int:
    """`redrive` or `discard` these; answers how many were still dead."""
    [(count,)] = await verbs.call(verb, ids=ids)
    return count


@dataclass(slots=True)
class Prunes:
    """Forgets in steps; each goes on where the last one ended, until nothing is left to forget."""

    _from_us: int = 0

    async def prune(self, verbs: Verbs, finished_before: datetime, limit: int) -> int:
        """Forget events that were final before the time, those that finished first before the others."""
        most = max(limit, 0)
        before_us = to_us(finished_before)
        [(count, last_us)] = await verbs.call("prune", before_us=before_us, from_us=self._from_us, most=most)
        self._from_us = 0 if count < most or last_us is None else last_us
        await verbs.call("gather_counters")
        return count
