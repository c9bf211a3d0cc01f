"""One program for all of a config's expressions gives what each of them gives alone."""

import asyncio
import json
from collections.abc import Iterator, Sequence
from typing import Any

import jq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidegate.mapping.expressions import JqExpression
from tidegate.mapping.fields import Cell, Document, JqFields, Lanes, unfolded_document
from tidegate.mapping.lane import Evaluation, Lane, Program, Programs
from tidegate.mapping.process import MapperLimits, StoppedError

EXPRESSIONS = [
    ".",
    ".a.b",
    ".a // .b",
    ".[]",
    ".[]?",
    "keys",
    "keys? // []",
    "length",
    "tostring",
    "tojson",
    "tonumber",
    "empty",
    "error",
    "error(null)",
    "error({a: .})",
    "map(.)",
    "map_values(. + 1)",
    "[.. | scalars]",
    "to_entries",
    "with_entries(.value |= tostring)",
    "first(.[])",
    "(.a, .b)",
    "[.a, .b] | sort",
    'join(", ")',
    '"\\(.a)-\\(.b)"',
    "if .a then .a else error end",
    "try error catch .",
    ". as {a: $x, b: [$y]} | [$x, $y]",
    "reduce .[] as $x (null; . + $x)",
    "label $out | foreach .[] as $x (0; . + 1; if . > 1 then ., break $out else empty end)",
    "def f: .a; f",
    "def first(f): 5; first(.)",
    "limit(2; .[])",
    ".a |= 1",
    "del(.a)",
    "paths",
    'test("a")',
    "ascii_downcase",
    "@base64",
    "@csv",
    "1 / .a",
    ".a # a comment",
    "env | length",
    "input",
    "halt",
    "infinite, nan",
    ".a.b.c = 3",
    "getpath([1, 2])",
    'splits("a")',
    "1e1000",
]
documents = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=12,
)
CLOSED = {"env | length": [0], "input": {"e": "No more inputs"}, "halt": {"e": "halt is closed"}}


def alone(expression: str, document: Any) -> Cell:
    """What the binding gives for the expression, with nothing around it."""
    if expression in CLOSED:
        return CLOSED[expression]
    outputs = iter(jq.compile(f"({expression}\n) | tojson").input_text(json.dumps(document)))
    try:
        return [json.loads(next(outputs))]
    except StopIteration:
        return []
    except ValueError as error:
        return {"e": str(error)}


def outcome(cell: Cell) -> Any:
    """A cell, but of failures only that they are some: jq words errors that are no text in several ways."""
    return "failed" if isinstance(cell, dict) else json.dumps(cell)


@pytest.fixture(scope="module")
def lanes() -> Iterator[tuple[asyncio.Runner, Lanes]]:
    with asyncio.Runner() as runner:
        opened = Lanes.open(MapperLimits())
        try:
            yield runner, opened
        finally:
            runner.run(opened.close())


@given(st.data(), st.lists(documents, min_size=1, max_size=4))
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_expressions_do_not_know_of_each_other(
    lanes: tuple[asyncio.Runner, Lanes], data: st.DataObject, items: list[Any]
) -> None:
    runner, opened = lanes
    chosen = data.draw(st.lists(st.sampled_from(EXPRESSIONS[:-1]), min_size=1, max_size=8))
    fields = JqFields([JqExpression((text,)) for text in chosen], opened)
    texts = [Document(json.dumps(item).encode()) for item in items]
    rows = runner.run(fields.rows(texts, tuple(range(len(chosen)))))
    expected = [[outcome(alone(text, item)) for text in chosen] for item in items]
    assert [[outcome(cell) for cell in row] for row in rows] == expected


@given(st.data(), st.dictionaries(st.sampled_from("abc"), documents), st.lists(documents, max_size=5))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_unfolded_elements_are_items_of_their_own(
    lanes: tuple[asyncio.Runner, Lanes], data: st.DataObject, base: dict[str, Any], elements: list[Any]
) -> None:
    runner, opened = lanes
    chosen = data.draw(st.lists(st.sampled_from(EXPRESSIONS[:-1]), min_size=1, max_size=5))
    name = data.draw(st.sampled_from(["item", "a", 'it"s', "\\(x)", ""]))
    fields = JqFields([JqExpression((text,)) for text in chosen], opened, name)
    rows = runner.run(fields.rows([unfolded_document(base, elements)], tuple(range(len(chosen)))))
    expected = [[outcome(alone(text, {**base, name: each})) for text in chosen] for each in elements]
    assert [[outcome(cell) for cell in row] for row in rows] == expected


def test_a_number_out_of_range_is_one_fields_fault(lanes: tuple[asyncio.Runner, Lanes]) -> None:
    runner, opened = lanes
    fields = JqFields([JqExpression((text,)) for text in (".", "1e1000", ". + 1")], opened)
    rows = runner.run(fields.rows([Document(b"1"), Document(b"2")], (0, 1, 2)))
    assert [(row[0], outcome(row[1]), row[2]) for row in rows] == [
        ([1], "failed", [2]),
        ([2], "failed", [3]),
    ]


class DyingLane(Lane):
    """Its process dies under the first so many documents, whatever they are, as if killed from outside."""

    deaths = 0

    async def evaluate(
        self, program: Program, documents: Sequence[bytes], limit_seconds: float | None = None
    ) -> Evaluation:
        if documents and self.deaths:
            self.deaths -= 1
            raise StoppedError("ended the JQ worker process (SIGKILL)", 0, 0, died=True)
        return await super().evaluate(program, documents, limit_seconds)


@pytest.mark.parametrize(("deaths", "expected"), [(1, [1]), (2, [1]), (3, "failed")])
def test_a_death_counts_against_an_expression_when_it_happens_again(deaths: int, expected: Any) -> None:
    async def run() -> Any:
        limits = MapperLimits()
        apart = DyingLane(limits, 1)
        apart.deaths = deaths
        shared = DyingLane(limits, 1)
        shared.deaths = 1
        lanes = Lanes(shared, apart, Programs(), limits)
        try:
            fields = JqFields([JqExpression((". | .",))], lanes)
            return await fields.rows([Document(b"1"), Document(b"2")], (0,))
        finally:
            await lanes.close()

    first, second = asyncio.run(run())
    assert [first[0] if expected != "failed" else outcome(first[0]), second] == [expected, [[2]]]


def test_which_cells_are_wanted_can_be_chosen(lanes: tuple[asyncio.Runner, Lanes]) -> None:
    runner, opened = lanes
    fields = JqFields([JqExpression((text,)) for text in (".", ".a |", ". + 1")], opened)
    document = [Document(b"1")]
    broken = {"e": "does not compile: syntax error, unexpected end of file (line 1, column 4)"}
    assert runner.run(fields.rows(document, (1, 2))) == [[broken, [2]]]
    assert runner.run(fields.rows(document, (0, 1, 2))) == [[[1], broken, [2]]]
    assert runner.run(fields.rows(document, ())) == [[]]
    assert runner.run(fields.rows([], (0, 1))) == []
    assert runner.run(fields.problems()) == {1: broken["e"]}
