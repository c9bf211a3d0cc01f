"""The SQL that concludes events says the same as the Python that the model uses, for every mix of runs."""

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.core.lifecycle import LIVE_EVENT_STATES, RunState
from tidegate.core.runs import ROUTING_CONFIG, RunRequest
from tidegate.engines.outcomes import LinkedRun, conclude
from tidegate.engines.sqlite import outcomes
from tidegate.engines.sqlite.lanes import create_run
from tidegate.engines.sqlite.schema import open_writer
from tidegate.engines.sqlite.transaction import Transaction

EVENT_SEQ = 7
LINKS = [
    (state, config, carried)
    for state in RunState
    if state is not RunState.SUPERSEDED
    for config in ("issue", ROUTING_CONFIG)
    for carried in (True, False)
]
MIXES = [*itertools.product(LINKS), *itertools.product(LINKS, repeat=2)]


@pytest.fixture
def tx(path: Path) -> Iterator[Transaction]:
    database = open_writer(path)
    yield Transaction.begin(database, now_us=1000, lease_us=10, max_backlog=10)
    database.run("ROLLBACK")
    database.close()


def test_every_mix_of_runs(tx: Transaction) -> None:
    tx.run(
        "INSERT INTO events (seq, id, path, state, token, expirations, received_us, size_bytes, reason)"
        " VALUES (?, 'event', '/', 'queued', 0, 0, 0, 0, 'none')",
        (EVENT_SEQ,),
    )
    for mix in MIXES:
        expected = [
            LinkedRun(number, state, config, carried, f"run {number}")
            for number, (state, config, carried) in enumerate(mix, start=1)
        ]
        for link in expected:
            create_run(tx, EVENT_SEQ, "/", RunRequest("P", link.config, "issue", None, None), held=False)
            newest = EVENT_SEQ if link.carried else EVENT_SEQ + 1
            tx.run(
                "UPDATE runs SET state = ?, detail = ?, newest_seq = ? WHERE id = ?",
                (link.state.value, link.detail, newest, link.id),
            )
        state, reason = conclude(expected)
        outcomes.conclude(tx, 1)
        finished_us = None if state in LIVE_EVENT_STATES else tx.now_us
        found = tx.row("SELECT state, reason, finished_us FROM events")
        assert found == (state.value, reason, finished_us), mix
        tx.run("DELETE FROM runs")
        tx.run("DELETE FROM event_runs")
        tx.run("UPDATE events SET state = 'queued', finished_us = NULL")
        tx.counters.run_id = 0
