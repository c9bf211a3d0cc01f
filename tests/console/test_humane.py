"""Numbers and times as people read them, and what is drawn of them."""

from datetime import UTC, datetime, timedelta

import pytest

from tidegate.console.pages.charts import sparkline
from tidegate.console.pages.humane import ago_text, count_text, duration_text, rate_text, size_text
from tidegate.console.pages.json_view import MAX_NODES, MAX_TEXT, json_tree

NOW = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 ms"),
        (0.00001, "< 0.1 ms"),
        (0.0034, "3.4 ms"),
        (0.25, "250 ms"),
        (1.239, "1.24 s"),
        (42.06, "42.1 s"),
        (59.99, "60.0 s"),
        (125, "2 min 5 s"),
        (7200, "2 h"),
        (7260, "2 h 1 min"),
        (None, "–"),
    ],
)
def test_durations(seconds: float | None, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("per_second", "text"),
    [
        (0, "0/s"),
        (1234, "1,234/s"),
        (9.7, "9.7/s"),
        (1, "1/s"),
        (0.2, "12/min"),
        (1 / 60, "1/min"),
        (0.001, "3.6/h"),
    ],
)
def test_rates(per_second: float, text: str) -> None:
    assert rate_text(per_second) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "now"), (59, "59 s ago"), (60, "1 min ago"), (90_000, "1 d ago"), (-120, "in 2 min")],
)
def test_ages(seconds: float, text: str) -> None:
    assert ago_text(NOW - timedelta(seconds=seconds), NOW) == text


def test_counts_and_sizes() -> None:
    assert [count_text(1234), count_text(1000, more=True)] == ["1,234", "1,000+"]
    assert [size_text(512), size_text(1234), size_text(34_000_000)] == ["512 B", "1.2 kB", "34 MB"]


def test_json_is_bounded_and_escaped() -> None:
    many = json_tree([{"n": number} for number in range(10_000)])
    assert many.count("j-row") < MAX_NODES + 100
    assert "more not shown" in many
    assert "5 more characters" in json_tree("x" * (MAX_TEXT + 5))
    assert "<b>" not in json_tree({"<b>": "<b>"})
    deep: object = 1
    for _ in range(500):
        deep = [deep]
    assert "more not shown" in json_tree(deep)


def test_a_line_has_gaps_where_nothing_is_known() -> None:
    drawn = sparkline([1.0, None, 2.0, 3.0], "rates <now>")
    assert drawn.count("<polyline") == 2
    assert 'aria-label="rates &lt;now&gt;"' in drawn
    assert "nan" not in sparkline([None, None], "nothing") + sparkline([], "nothing") + sparkline(
        [0.0, 0.0], "zero"
    )
