"""Property schemas: what each keyword takes and refuses, and what a wrong schema is told."""

from typing import Any

import pytest

from tidegate.core.errors import ConfigurationError
from tidegate.targets.catalog.blueprints import parse_blueprint
from tidegate.targets.catalog.formats import date_time
from tidegate.targets.catalog.properties import compile_check

STRING = {"type": "string"}


@pytest.mark.parametrize(
    ("schema", "taken", "refused"),
    [
        (STRING, ["", "a"], [1, True, None, [], {}]),
        ({"type": "number"}, [0, -1, 1.5, 10**20], ["1", True, None]),
        ({"type": "boolean"}, [True, False], [0, 1, "true", None]),
        ({"type": "object"}, [{}, {"a": [1]}], [[], "{}", None]),
        ({"type": "array"}, [[], [1, "a"]], [{}, "[]", None]),
        ({"type": "array", "items": STRING}, [[], ["a"]], [[1], ["a", None]]),
        ({"type": "array", "minItems": 1, "maxItems": 2}, [[1], [1, 2]], [[], [1, 2, 3]]),
        ({"type": "array", "uniqueItems": True}, [[1, "1", True, 1.5]], [[1, 1], [{"a": 1}, {"a": 1}]]),
        ({"type": "array", "uniqueItems": False}, [[1, 1]], []),
        ({"type": "string", "enum": ["a", "b"]}, ["a"], ["c", ""]),
        ({"type": "number", "enum": [1, 2]}, [1, 2.0], [3, True]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "abc"], ["a", "abcd"]),
        ({"type": "string", "pattern": "^v[0-9]+$"}, ["v1"], ["1", "v"]),
        ({"type": "string", "pattern": "b"}, ["abc"], ["ac"]),
        ({"type": "number", "minimum": 1, "maximum": 2}, [1, 2], [0.9, 2.1]),
        ({"type": "number", "exclusiveMinimum": 1, "exclusiveMaximum": 2}, [1.5], [1, 2]),
        (
            STRING | {"format": "url"},
            ["https://a.io", "http://localhost:5000/#/x?y=1", "ftp://u:p@h/", "http://[::1]:8/", "HTTP://A"],
            ["a.io", "//a.io", "mailto:a@b.c", "http://", "http:///x", "https://a b", "http://a:port", ""],
        ),
        (
            STRING | {"format": "date-time"},
            ["2024-05-01T12:00:00Z", "2024-05-01T12:00:00.123456789+02:00", "2024-02-29t00:00:00z"],
            ["2024-05-01", "2024-05-01T12:00:00", "2023-02-29T00:00:00Z", "2024-05-01T25:00:00Z", "now"],
        ),
        (STRING | {"format": "email"}, ["a@b.c"], ["a", "@b", "a@", "a b@c", "a@b@c"]),
        (STRING | {"format": "ipv4"}, ["10.0.0.1"], ["10.0.0", "::1", "256.0.0.1"]),
        (STRING | {"format": "ipv6"}, ["::1"], ["10.0.0.1", "g::"]),
        (STRING | {"format": "markdown"}, ["# a"], [1]),
        (STRING | {"format": "a-format-of-tomorrow"}, ["anything"], []),
    ],
)
def test_what_a_schema_takes(schema: dict[str, Any], taken: list[Any], refused: list[Any]) -> None:
    check = compile_check(schema, "property p")
    for value in taken:
        assert check(value) is None, value
    for value in refused:
        assert check(value), value


@pytest.mark.parametrize(
    ("schema", "part"),
    [
        (None, "a property is an object"),
        ({}, "`type` is null; use one of string, number"),
        ({"type": ["string", "null"]}, "use one of"),
        (STRING | {"enum": "a"}, "p: enum: must be an array"),
        (STRING | {"pattern": "("}, "p: pattern: .* cannot be read"),
        (STRING | {"pattern": 1}, "p: pattern"),
        (STRING | {"minLength": "1"}, "p: minLength: must be a number"),
        (STRING | {"format": 1}, "p: format: must be a string"),
        ({"type": "array", "items": {"type": "text"}}, "p: items: `type`"),
        ({"type": "array", "uniqueItems": "yes"}, "p: uniqueItems: must be a boolean"),
    ],
)
def test_a_wrong_schema_is_named(schema: Any, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        compile_check(schema, "p")


@pytest.mark.parametrize(
    ("document", "part"),
    [
        ([], "a blueprint is an object"),
        ({}, "`identifier` must have"),
        ({"identifier": "with space"}, "`identifier` must have"),
        ({"identifier": "b", "schema": []}, "blueprint b: `schema` must be an object"),
        ({"identifier": "b", "schema": {"properties": {}, "required": ["x"]}}, 'required: "x" not among'),
        ({"identifier": "b", "schema": {"properties": {"a b": STRING}}}, 'properties: "a b" must have'),
        ({"identifier": "b", "relations": {"": {"target": "b"}}}, 'relations: "" must have'),
        ({"identifier": "b", "relations": {"r": {}}}, "relation r: `target` must name"),
        ({"identifier": "b", "relations": {"r": {"target": "b", "many": 1}}}, "relation r: `many`"),
        ({"identifier": "b", "relations": {"r": "b"}}, "relation r: must be an object"),
    ],
)
def test_a_wrong_blueprint_is_named(document: Any, part: str) -> None:
    with pytest.raises(ConfigurationError, match=part):
        parse_blueprint(document)


def test_moments_keep_their_offset() -> None:
    assert date_time("2024-05-01T12:00:00+02:00") == date_time("2024-05-01T10:00:00Z")
    assert date_time("2024-05-01 10:00:00Z") == date_time("2024-05-01T10:00:00Z")
