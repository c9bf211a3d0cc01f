"""The comparison measures what it says: against real processes, and with numbers that can be checked by hand."""

import math
from pathlib import Path

import pytest

from bench.compare.contenders import CONTENDERS, world_running
from bench.compare.load import Sent
from bench.compare.report import Results, grids, shown, spread
from bench.compare.workloads import Workload, World, freshness_seconds, measure


def named(name: str):
    return next(each for each in CONTENDERS if each.name == name)


@pytest.mark.parametrize("name", ["bare", "tidegate", "postgres"])
def test_every_event_of_a_contender_is_followed_to_port(tmp_path: Path, name: str) -> None:
    contender = named(name)
    distinct, burst = Workload("distinct", "", events=40), Workload("burst", "", events=40, kind="one")
    with world_running(tmp_path / "world") as url, contender.running(url, tmp_path / name) as running:
        of_distinct, of_burst = (
            measure(running, World(url), each, 1.0, works=True, quiet_seconds=0.2)
            for each in (distinct, burst)
        )
    assert of_distinct["unfinished"] == 0
    assert of_distinct["fetches_per_event"] == of_distinct["writes_per_event"] == 1.0
    assert of_distinct["events_per_second"] > 0
    assert 0 < of_distinct["fresh_p50_ms"] <= of_distinct["fresh_p99_ms"]
    assert 0 < of_distinct["cpu_ms_per_event"] < 1000
    assert of_distinct["peak_mib"] > 5
    assert of_burst["unfinished"] == 0
    if name != "bare":
        assert of_burst["fetches_per_event"] < 0.5


def test_fresh_is_the_first_write_of_what_was_fetched_after_the_webhook() -> None:
    sent = [Sent(1, 0, 100), Sent(1, 0, 250), Sent(2, 150, 200), Sent(3, 0, 300)]
    #        stale for both; fresh for the first; for both; of another resource
    writes = [(1, 90, 180), (1, 120, 260), (1, 260, 400), (2, 210, 500)]
    resources, stamps, times = zip(*writes, strict=True)
    fresh = freshness_seconds(sent, resources, stamps, times)
    assert fresh == [pytest.approx(each / 1e9) for each in (160, 150, 350)]  # the last was never written


def test_ratios_are_taken_within_a_round() -> None:
    results = Results({}, {"tidegate": "Tidegate", "ocean": "port-ocean"})
    for ours, theirs in ((100, 1), (400, 2)):
        results.add("tidegate", "distinct", {"events_per_second": ours})
        results.add("ocean", "distinct", {"events_per_second": theirs})
    assert results.ratios("events_per_second", "distinct", "ocean") == [100, 200]
    bars = next(grids_of(results))
    (row,) = [row for row in bars.rows if row[0] == "events/s, to port-ocean"]
    assert row[1:] == ["≥ 150", "150 (100–200)", "yes"]
    assert [row[3] for row in bars.rows if row[0] == "start to the first 202, s"] == ["not measured"]


def test_ingest_is_set_beside_servers_that_do_nothing() -> None:
    titles = {"ingress": "Tidegate's ingress alone", "no_op": "no-op server", "uvicorn": "on uvicorn"}
    results = Results({}, titles)
    for name, rate, cost in (("ingress", 10, 0.08), ("no_op", 40, 0.02), ("uvicorn", 20, 0.04)):
        results.add(name, "distinct", {"accepted_per_second": rate, "cpu_ms_per_event": cost})
    (ingest,) = [grid for grid in grids_of(results) if grid.title.startswith("Durable ingest")]
    assert ingest.rows == [["no-op server", "0.25", "0.25"], ["on uvicorn", "0.5", "0.5"]]
    bars = next(grids_of(results))
    (row,) = [row for row in bars.rows if row[0].startswith("durable ingest alone")]
    assert row[1:] == ["≥ 0.6", "0.25", "no"]


@pytest.mark.parametrize("name", ["no_op", "uvicorn"])
def test_a_server_that_does_nothing_answers_every_webhook(tmp_path: Path, name: str) -> None:
    contender = named(name)
    with world_running(tmp_path / "world") as url, contender.running(url, tmp_path / name) as running:
        workload = Workload("distinct", "", events=40)
        answered = measure(running, World(url), workload, 1.0, works=contender.works, quiet_seconds=0.1)
    assert answered["events"] == 40
    assert 0 < answered["cpu_ms_per_event"] < 100


def grids_of(results: Results):
    results.conditions |= dict.fromkeys(("date", "machine", "python", "rounds", "size", "load"), "")
    return grids(results, [Workload("distinct", "distinct", 1)])


def test_numbers_are_shown_as_people_read_them() -> None:
    assert [shown(value) for value in (12345.6, 42.42, 0.1234, math.nan)] == ["12,346", "42.4", "0.12", "–"]
    assert [spread(values) for values in ([], [1.0, 1.0], [1.0, 3.0, 2.0])] == ["–", "1", "2 (1–3)"]
