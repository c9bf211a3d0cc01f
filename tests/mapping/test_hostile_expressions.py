"""Hostile mappings against the real worker process: they read nothing, stop nothing and spoil nobody's items."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tidegate.core.ports import Mapped
from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, MapperLimits, parse_mapping

SECRET = "hunter2-in-the-environment"
LIMITS = MapperLimits(item_timeout_seconds=0.3, memory_bytes=96 << 20, result_bytes=1 << 20)

NULL: Any = ("null with a warning",)
CRASH = '("x" | . * 1e9)'


def doubled(start: str, step: str) -> str:
    """28 times."""
    steps = " | ".join([step] * 14)
    return f"{start} | ({steps}) | ({steps})"


RUNAWAYS = {
    "recursion without end": "def f: f; f",
    "recursion that needs memory": "def f: 1 + f; f",
    "a loop without end": "last(repeat(1))",
    "a quiet range": "last(range(1e12))",
    "a huge list": "[range(1e9)]",
    "a huge string": CRASH,
    "a huge string at compile time": '"x" * 1e9',
    "a string that doubles": '"x" | until(false; . + .)',
    "a string that doubles in a pipe": doubled(".id", ". + ."),
    "text that doubles": doubled(".id", '"\\(.)\\(.)"'),
    "a list that holds itself twice": doubled("[.id]", "[.] + [.]"),
    "a regex that backtracks": '("a" * 40 + "!") | test("^(a+)+$")',
    "a deep value": "reduce range(1e7) as $i (0; [.])",
    "paths of everything": "[limit(1e9; repeat(.))] | [paths]",
}
CLOSED = {
    "env": ("env", {}),
    "env of a name": ("env.TIDEGATE_TEST_SECRET", None),
    "$ENV": ("$ENV", {}),
    "$ENV of a name": ("$ENV.TIDEGATE_TEST_SECRET", None),
    "$ENV in a function": ("def f: $ENV; f | length", 0),
    "env in a string": ('"\\(env)"', "{}"),
    "env in a path": ("[env | paths]", []),
    "input": ("input", NULL),
    "inputs": ("[inputs]", []),
    "first of inputs": ("first(inputs)", NULL),
    "halt": ("halt", NULL),
    "halt_error": ("halt_error", NULL),
    "halt_error with a code": ('"bye" | halt_error(0)', NULL),
    "debug": ("debug", {"id": "1"}),
    "debug with a message": ('debug("m") | .id', "1"),
    "stderr": (".id | stderr", "1"),
    "input_filename": ("input_filename", None),
    "input_line_number": ("input_line_number", NULL),
    "modulemeta": ('"secret" | modulemeta', NULL),
    "get_search_list": ("get_search_list", []),
    "get_jq_origin": ("get_jq_origin", None),
    "get_prog_origin": ("get_prog_origin", None),
    "$__prog_args": ("$__prog_args", NULL),
    "$__loc__": ("$__loc__.file", "<top-level>"),
    "import of a module": ('import "secret" as s; s::secret', NULL),
    "import of data": ('import "secret" as $s; $s', NULL),
    "import with a path": ('import "secret" as $s {search: "/"}; $s', NULL),
    "include": ('include "secret"; secret', NULL),
    "module": ("module {}; 1", NULL),
    "import after a comment": ('# a\nimport "secret" as $s; $s', NULL),
    "getpath stays": ('getpath(["id"])', "1"),
}
ESCAPES = {
    "brackets closed and opened": ("1) | (2", NULL),
    "brackets and a list closed": ("1))]) | env | ([((1", NULL),
    "a definition that leaks": ("1); def first(f): 666; (1", NULL),
    "a comment": (".id # note )", "1"),
    "a comment that swallows the line end": (".id # note \\", "1"),
    "a comment that swallows two": (".id # note \\\\\\", "1"),
    "a comment and a carriage return": (".id # note \\\r", "1"),
    "an open string": ('"abc', NULL),
    "an open interpolation": ('"abc \\(1', NULL),
    "an open comment in a string": ('"# \\', NULL),
    "nothing": ("", NULL),
    "white space": (" \n\t ", NULL),
    "a NUL": (".id\0) | env", NULL),
    "a break like jq's own": ("error({__jq: 0})", NULL),
    "a label": ("label $out | 1, break $out", 1),
    "a redefinition": ("def tojson: 666; def first(f): 666; .id", "1"),
    "$base of the combined program": ("$base", NULL),
    "an error that is null": ("error(null)", NULL),
    "an error that is an object": ('error({a: "b"})', NULL),
    "a limit of nothing": ("[limit(0; error)]", []),
    "a format": ('"; rm -rf / $(id)" | @sh', "'; rm -rf / $(id)'"),
    "a number out of range": ("1e1000 | tojson | fromjson", NULL),
    "a result too large": ('"x" * 2e6', NULL),
    "a value too deep for JSON": ("reduce range(5000) as $i (0; [.])", NULL),
    "a private builtin": ('"x" | _strindices(1)', NULL),
    "brackets by the thousand": ("[" * 20_000 + "]" * 20_000, NULL),
    "an operator by the thousand": ("1" + "+1" * 20_000, 20_001),
}


def config_of(kind: str, properties: dict[str, str], **fields: Any) -> ResourceConfig:
    mappings = {"identifier": ".id", "blueprint": '"thing"', "properties": properties, **fields}
    resource = {"kind": kind, "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}}
    return parse_mapping({"resources": [resource]}).configs[0]


def check(mapped: Mapped, expected: dict[str, Any]) -> None:
    (entity,) = mapped.passed
    warned = {warning.field.removeprefix("properties.") for warning in mapped.warnings}
    values = dict(json.loads(entity.to_json())["properties"])
    assert values == {name: None if value is NULL else value for name, value in expected.items()}
    assert warned == {name for name, value in expected.items() if value is NULL}


def map_with(configs: Sequence[ResourceConfig], limits: MapperLimits = LIMITS) -> list[Mapped]:
    async def run() -> list[Mapped]:
        mapper = JqMapper(configs, limits)
        try:
            return [await mapper.map(config, [{"id": "1"}]) for config in configs]
        finally:
            await mapper.close()

    return asyncio.run(run())


@pytest.fixture
def secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A secret wherever jq would look for one."""
    monkeypatch.setenv("TIDEGATE_TEST_SECRET", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "secret.jq").write_text(f'def secret: "{SECRET}";')
    (tmp_path / "secret.json").write_text(json.dumps(SECRET))
    (tmp_path / ".jq").write_text(f'def secret: "{SECRET}";')


@pytest.mark.usefixtures("secrets")
@pytest.mark.parametrize("table", [CLOSED, ESCAPES], ids=["closed", "escapes"])
def test_expressions_stay_within_their_brackets(table: dict[str, tuple[str, Any]]) -> None:
    """All in one mapping, with a good neighbour before and after."""
    cases = {"good": (".id | @text | ascii_downcase", "1"), **table, "last": ('.id + "!" | @text', "1!")}
    config = config_of("hostile", {name: text for name, (text, _) in cases.items()})
    (mapped,) = map_with([config], MapperLimits(item_timeout_seconds=30.0, result_bytes=1 << 20))
    check(mapped, {name: value for name, (_, value) in cases.items()})
    assert SECRET not in repr(mapped)


def test_runaways_are_found_one_by_one() -> None:
    cases = {"good": ".id | @text | ascii_downcase", **RUNAWAYS, "last": '.id + "!" | @text'}
    (mapped,) = map_with([config_of("runaway", cases)])
    check(mapped, {"good": "1", **dict.fromkeys(RUNAWAYS, NULL), "last": "1!"})


@pytest.mark.parametrize(
    ("field", "place"),
    [
        ("selector", ("selector", "query")),
        ("itemsToParse", ("port", "itemsToParse")),
        ("identifier", ("port", "entity", "mappings", "identifier")),
        ("blueprint", ("port", "entity", "mappings", "blueprint")),
        ("title", ("port", "entity", "mappings", "title")),
    ],
)
def test_a_crash_may_stand_anywhere(field: str, place: tuple[str, ...]) -> None:
    mappings = {"identifier": ".id", "blueprint": '"thing"', "title": ".id | @text | ascii_downcase"}
    resource: dict[str, Any] = {
        "kind": "hostile",
        "selector": {"query": "true"},
        "port": {"entity": {"mappings": mappings}},
    }
    *way, last = place
    part = resource
    for key in way:
        part = part[key]
    part[last] = CRASH
    (config,) = parse_mapping({"resources": [resource]}).configs
    hostile, good = map_with([config, config_of("good", {"p": ".id | @text | ascii_downcase"})])
    assert [warning.field for warning in hostile.warnings] == [field]
    assert "needs more than 96 MiB of memory" in hostile.warnings[0].reason
    assert hostile.skipped == (0 if field == "title" else 1)
    assert good.passed[0].properties == {"p": "1"}


def test_only_the_item_on_which_an_expression_crashes_suffers() -> None:
    config = config_of("sometimes", {"p": f'if .id == "13" then {CRASH} else .id + "!" end'})

    async def run() -> Mapped:
        mapper = JqMapper([config], LIMITS)
        try:
            return await mapper.map(config, [{"id": str(number)} for number in range(40)])
        finally:
            await mapper.close()

    mapped = asyncio.run(run())
    values = [entity.properties["p"] for entity in mapped.passed]
    assert values == [None if number == 13 else f"{number}!" for number in range(40)]
    assert [warning.item for warning in mapped.warnings] == [13]


def test_only_the_element_on_which_an_expression_crashes_suffers() -> None:
    resource = {
        "kind": "sometimes",
        "selector": {"query": "true"},
        "port": {
            "itemsToParse": ".all",
            "entity": {
                "mappings": {
                    "identifier": ".item | tostring",
                    "blueprint": '"thing"',
                    "properties": {"p": f"if .item == 13 then {CRASH} else .item * 2 end"},
                }
            },
        },
    }
    (config,) = parse_mapping({"resources": [resource]}).configs

    async def run() -> Mapped:
        mapper = JqMapper([config], LIMITS)
        try:
            return await mapper.map(config, [{"all": list(range(1, 21))}])
        finally:
            await mapper.close()

    values = [entity.properties["p"] for entity in asyncio.run(run()).passed]
    assert values == [None if number == 13 else 2 * number for number in range(1, 21)]


def test_other_configs_go_on_while_one_runs_away() -> None:
    hostile = config_of("hostile", {"p": RUNAWAYS["a loop without end"], "q": ".id | @text | ascii_downcase"})
    good = config_of("good", {"p": '.id + "!" | @text'})

    async def run() -> tuple[Mapped, list[Mapped], list[str]]:
        mapper = JqMapper([hostile, good], LIMITS)
        finished: list[str] = []

        async def call(config: ResourceConfig, ids: Sequence[str]) -> Mapped:
            mapped = await mapper.map(config, [{"id": each} for each in ids])
            finished.append(config.kind)
            return mapped

        try:
            bad = asyncio.create_task(call(hostile, [str(number) for number in range(3)]))
            goods = await asyncio.gather(*(call(good, [str(number)]) for number in range(50)))
            return await bad, goods, finished
        finally:
            await mapper.close()

    bad, goods, finished = asyncio.run(run())
    assert [mapped.passed[0].properties for mapped in goods] == [{"p": f"{n}!"} for n in range(50)]
    assert [entity.properties for entity in bad.passed] == [{"p": None, "q": str(n)} for n in range(3)]
    assert finished[-1] == "hostile"


def test_an_expression_that_behaves_again_is_trusted_again() -> None:
    config = config_of("moody", {"p": f'if .id == "bad" then {CRASH} else .id + "!" end'})

    async def run() -> list[Any]:
        mapper = JqMapper([config], LIMITS)
        try:
            values: list[Any] = []
            for each in ("bad", *map(str, range(30)), "bad", "ok"):
                mapped = await mapper.map(config, [{"id": each}])
                values.append(mapped.passed[0].properties["p"])
            return values
        finally:
            await mapper.close()

    assert asyncio.run(run()) == [None, *(f"{number}!" for number in range(30)), None, "ok!"]
