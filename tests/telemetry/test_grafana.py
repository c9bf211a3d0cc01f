"""The dashboard and the alerts: they can be loaded, and every query asks for metrics and labels that exist."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import promql_parser
import pytest
import yaml

from scripts.docs_reference.metrics import Metric, all_metrics

DASHBOARD = Path("docs/grafana/tidegate.json")
ALERTS = Path("docs/grafana/alerts.yml")
TARGET_LABELS = {"job", "instance"}  # Prometheus adds these to whatever it scrapes
SUFFIXES = {"histogram": ("_bucket", "_sum", "_count")}
VARIABLES = {"$__rate_interval": "5m", "$job": ".*"}


def series() -> dict[str, tuple[Metric, set[str]]]:
    """The series that a scrape gives, with their labels."""
    found: dict[str, tuple[Metric, set[str]]] = {}
    for metric in all_metrics():
        for suffix in SUFFIXES.get(metric.kind, ("",)):
            labels = {*metric.labels, *TARGET_LABELS} | ({"le"} if suffix == "_bucket" else set())
            found[metric.name + suffix] = (metric, labels)
    return found


def dashboard() -> dict[str, Any]:
    return msgspec.json.decode(DASHBOARD.read_bytes())


def dashboard_queries() -> Iterator[tuple[str, str]]:
    for panel in dashboard()["panels"]:
        for target in panel.get("targets", ()):
            yield f"{panel['title']} {target['refId']}", target["expr"]
    for annotation in dashboard()["annotations"]["list"]:
        yield annotation["name"], annotation["expr"]


def alert_queries() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]


QUERIES = dict([*dashboard_queries(), *alert_queries()])


def parsed(query: str) -> Any:
    for name, value in VARIABLES.items():
        query = query.replace(name, value)
    return promql_parser.parse(query)


@pytest.mark.parametrize("name", QUERIES)
def test_every_query_asks_for_what_there_is(name: str) -> None:
    known = series()
    asked: list[str] = []
    labels = set[str]()

    def visit(part: Any) -> None:
        if isinstance(part, promql_parser.VectorSelector):
            assert part.name in known, f"{part.name} is no series"
            asked.append(part.name)
            for matcher in part.matchers.matchers:
                assert matcher.name in known[part.name][1], f"{part.name} has no label {matcher.name}"
        if isinstance(part, promql_parser.AggregateExpr) and part.modifier is not None:
            labels.update(part.modifier.labels)

    promql_parser.walk(parsed(QUERIES[name]), visit)
    assert asked
    assert labels <= set.union(*(known[each][1] for each in asked)), f"no metric of {name} has {labels}"


@pytest.mark.parametrize("name", QUERIES)
def test_what_only_grows_is_asked_for_its_growth(name: str) -> None:
    known = series()
    growing: list[str] = []

    def visit(part: Any) -> None:
        if isinstance(part, promql_parser.Call) and part.func.name in ("rate", "increase"):
            promql_parser.walk(part, lambda inner: growing.append(getattr(inner, "name", "")))
        if isinstance(part, promql_parser.VectorSelector) and known[part.name][0].kind != "gauge":
            assert part.name in growing

    promql_parser.walk(parsed(QUERIES[name]), visit)


def test_the_dashboard_shows_every_metric() -> None:
    whole = DASHBOARD.read_text()
    left_out = {"tidegate_events_received_bytes_total", "tidegate_connections_open"}
    assert {metric.name for metric in all_metrics() if metric.name not in whole} == left_out


def test_the_dashboard_can_be_loaded() -> None:
    board = dashboard()
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set[tuple[int, int]]()
    for panel in panels:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert at["x"] + at["w"] <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["description"]
            assert panel["datasource"]["uid"] == "${datasource}"
    assert {variable["name"] for variable in board["templating"]["list"]} == {"datasource", "job"}


def test_alerts_say_what_it_is_and_what_to_do() -> None:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["annotations"]["summary"]
            assert rule["annotations"]["description"]
            assert rule["labels"]["severity"] in {"page", "ticket"}
