"""No statement of the embedded engine walks through a table: its cost would grow with what is stored."""

import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegate.engines.sqlite.database import Database
from tidegate.engines.sqlite.schema import open_writer

MODULES = (
    "events",
    "inspecting",
    "lanes",
    "lineage",
    "mending",
    "outcomes",
    "refreshes",
    "runs",
    "samples",
    "searching",
    "settling",
    "transaction",
)
STATEMENTS = {
    f"{module}.{name}": text
    for module in MODULES
    for name, text in vars(importlib.import_module(f"tidegate.engines.sqlite.{module}")).items()
    if isinstance(text, str) and re.match(r"\s*(SELECT|UPDATE|INSERT|DELETE|WITH)\b", text)
}
SMALL = re.compile(
    r"SCAN (counters|found|outcome|CONSTANT ROW|\(subquery-\d+\)"
    r"|runs USING (COVERING )?INDEX runs_claimed)"  # no more than there are workers
)


@pytest.fixture
def database(path: Path) -> Iterator[Database]:
    opened = open_writer(path)
    yield opened
    opened.close()


@pytest.mark.parametrize("name", STATEMENTS)
def test_statements_search_by_an_index(name: str, database: Database) -> None:
    text = STATEMENTS[name]
    named = [int(number) for number in re.findall(r"\?(\d+)", text)]
    values = (1,) * (max(named) if named else text.count("?"))
    steps = [step for *_, step in database.rows(f"EXPLAIN QUERY PLAN {text}", values)]
    walks = [step for step in steps if step.startswith("SCAN") and not SMALL.match(step)]
    # a SEARCH that names no index walks through the table until it meets the least match
    walks += [step for step in steps if re.fullmatch(r"SEARCH \w+", step)]
    assert walks == []


def test_no_index_makes_writers_build_a_table(database: Database) -> None:
    """SQLite does so for a list of more than two values in its condition, whenever a row is written."""
    indexes = [
        sql for (sql,) in database.rows("SELECT sql FROM sqlite_schema WHERE type = 'index' AND sql <> ''")
    ]
    assert [sql for sql in indexes if " IN (" in sql.upper()] == []


def test_rare_states_are_listed_by_an_index(database: Database) -> None:
    for table, number, state in (
        *(("events", "seq", state) for state in ("routed", "rejected", "dead", "discarded")),
        *(("runs", "id", state) for state in ("rejected", "dead", "discarded", "claimed")),
    ):
        query = f"SELECT * FROM {table} WHERE state = '{state}' ORDER BY {number} DESC LIMIT 5"
        [step] = [step for *_, step in database.rows(f"EXPLAIN QUERY PLAN {query}")]
        assert f"USING INDEX {table}_" in step, step
