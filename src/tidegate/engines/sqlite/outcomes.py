"""What becomes of a run's events, in one statement for any number of them.

The ranks say in SQL what `tidegate.engines.outcomes.conclude` says in Python: the highest one decides, and
of several runs of that rank the oldest gives the reason.
"""

from tidegate.engines.sqlite.transaction import Transaction

_RANK = """CASE iif(runs.config = '' AND runs.state = 'applied', 'rerouted', runs.state)
    WHEN 'ready' THEN 9 WHEN 'held' THEN 9 WHEN 'claimed' THEN 9
    WHEN 'dead' THEN 8
    WHEN 'discarded' THEN 7
    WHEN 'rejected' THEN 6
    WHEN 'applied' THEN iif(runs.newest_seq = linked.event_seq, 5, 4)
    WHEN 'ignored' THEN 3
    ELSE 2 END"""

_STATE = """CASE outcome.rank
    WHEN 9 THEN 'routed'
    WHEN 8 THEN 'dead'
    WHEN 7 THEN 'discarded'
    WHEN 6 THEN 'rejected'
    WHEN 5 THEN 'applied'
    WHEN 4 THEN 'coalesced'
    ELSE 'ignored' END"""

_REASON = """CASE
    WHEN outcome.rank IN (9, 5, 2) THEN ''
    WHEN outcome.rank = 4 THEN 'coalesced into run ' || outcome.run_id
    ELSE outcome.detail END"""

# A bare column beside max() comes from the row that has the maximum.
_CONCLUDE = f"""
UPDATE events SET
    state = {_STATE},
    reason = {_REASON},
    finished_us = iif(outcome.rank = 9, NULL, ?2)
FROM (
    SELECT linked.event_seq, runs.id AS run_id, runs.detail, {_RANK} AS rank,
        max({_RANK} * (1 << 52) - runs.id)
    FROM event_runs AS mine
    CROSS JOIN event_runs AS linked ON linked.event_seq = mine.event_seq
    CROSS JOIN runs ON runs.id = linked.run_id
    WHERE mine.run_id = ?1
    GROUP BY linked.event_seq
) AS outcome
WHERE events.seq = outcome.event_seq AND events.state <> {_STATE}
"""  # noqa: S608 - own text


# The usual case, in a third of the time: an event that asked for this one run, and has it done.
_APPLIED = """
UPDATE events SET state = 'applied', reason = '', finished_us = ?3
WHERE seq = ?2 AND NOT EXISTS (SELECT 1 FROM event_runs WHERE event_seq = ?2 AND run_id <> ?1)
"""


def conclude_applied(tx: Transaction, run_id: int, event_seq: int) -> None:
    """As `conclude`, for a run that is APPLIED and stands for one event alone, its newest."""
    if not tx.run(_APPLIED, (run_id, event_seq, tx.now_us)):
        conclude(tx, run_id)


def conclude(tx: Transaction, run_id: int) -> None:
    """Give the events of a run the state that all their runs ask for."""
    tx.run(_CONCLUDE, (run_id, tx.now_us))
