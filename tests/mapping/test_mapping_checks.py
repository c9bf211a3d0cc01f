"""What is told of a mapping before any item comes."""

import asyncio
from typing import Any

from tidegate.mapping import MapperLimits, check_blueprints, check_expressions, parse_mapping

BLUEPRINTS = [
    {
        "identifier": "service",
        "schema": {"properties": {"url": {}, "language": {}}, "required": ["language"]},
        "relations": {"team": {"target": "team"}},
    },
    {"identifier": "team"},
]


def resource(query: str = "true", port: dict[str, Any] | None = None, **mappings: Any) -> dict[str, Any]:
    fields = {"identifier": ".id", "blueprint": '"service"', **mappings}
    return {
        "kind": "thing",
        "selector": {"query": query},
        "port": {"entity": {"mappings": fields}, **(port or {})},
    }


def expressions(*resources: dict[str, Any]) -> list[str]:
    configs = parse_mapping({"resources": list(resources)}).configs
    return [str(problem) for problem in asyncio.run(check_expressions(configs))]


def blueprints(*resources: dict[str, Any]) -> list[str]:
    configs = parse_mapping({"resources": list(resources)}).configs
    return [str(problem) for problem in check_blueprints(configs, BLUEPRINTS)]


def test_every_expression_that_does_not_compile_is_told() -> None:
    search = {"combinator": "and", "rules": [{"property": '"p"', "operator": '"="', "value": ".a ||"}]}
    assert [
        line.replace(": does not compile", "").partition(" (in ")[0]
        for line in expressions(
            resource(properties={"good": ".a | .b", "one": "nosuch", "two": 'import "x" as x; 1'}),
            resource(".a ==", {"itemsToParse": ".list |"}, title="1) | (2", relations={"r": search}),
        )
    ] == [
        "thing: properties.one: nosuch/0 is not defined (line 1, column 1)",
        "thing: properties.two (import, include and module are closed): syntax error, unexpected import",
        "thing#2: itemsToParse: syntax error, unexpected end of file (line 1, column 7)",
        "thing#2: selector: syntax error, unexpected end of file (line 1, column 4)",
        "thing#2: title: syntax error, unexpected INVALID_CHARACTER, expecting end of file (line 1, column 2)",
        "thing#2: relations.r.combinator: syntax error, unexpected and, expecting end of file (line 1, column 1)",
        "thing#2: relations.r.rules[0].value: syntax error, unexpected '|' (line 1, column 5)",
    ]


def test_a_constant_selector_must_be_a_boolean() -> None:
    reason = "is neither true nor false, so that every item is skipped"
    assert expressions(resource("'true'"), resource("5"), resource("false")) == [
        f"thing: selector: {reason}; leave out the inner quotes (in 'true')",
        f"thing#2: selector: {reason} (in 5)",
    ]


def test_an_expression_that_crashes_the_compiler_is_told() -> None:
    configs = parse_mapping({"resources": [resource(title='"x" * 1e9', icon=".id | .")]}).configs
    limits = MapperLimits(memory_bytes=96 << 20)
    problems = asyncio.run(check_expressions(configs, limits))
    assert [(problem.field, problem.expression) for problem in problems] == [("title", '"x" * 1e9')]
    assert problems[0].reason.startswith("cannot be compiled: needs more than 96 MiB")


def test_what_is_mapped_is_held_against_the_blueprints() -> None:
    assert blueprints(
        resource(properties={"language": ".l", "urll": ".u", "zzz": ".z"}, relations={"teams": ".t"}),
        resource(blueprint="'team'", properties={"x": ".x"}),
        resource(blueprint='"servic"'),
        resource(blueprint=".kind"),
        resource(),
    ) == [
        "thing: properties.urll: blueprint service has no such property; did you mean url? (in .u)",
        "thing: properties.zzz: blueprint service has no such property (there are language, url) (in .z)",
        "thing: relations.teams: blueprint service has no such relation; did you mean team? (in .t)",
        "thing#2: properties.x: blueprint team has no such property (there are none) (in .x)",
        'thing#3: blueprint: there is no blueprint servic; did you mean service? (in "servic")',
        "thing#5: properties.language: blueprint service requires it, and the mapping does not give it (in )",
    ]
