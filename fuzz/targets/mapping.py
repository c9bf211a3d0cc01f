"""Text into the mapping compiler: refused with a message or understood, and what is not left to JQ gives what JQ gives."""

import json
from typing import Any

import jq

from tidegate.core.errors import ConfigurationError
from tidegate.mapping import read_mapping_text
from tidegate.mapping.expressions import Constant, PlainPath, classify, leading_path, readings_of
from tidegate.mapping.functions import UnsureError
from tidegate.mapping.native import compile_native
from tidegate.mapping.operations import evaluator, plain_path
from tidegate.mapping.paths import NoResultError, PathError
from tidegate.mapping.values import plain

LONGEST = 2_000
ITEMS: list[Any] = [
    {"a": {"b": [1, "x", None, 2.5]}, "a b": True, "id": 7, "n": "N-1", "l": [{"a": 1}, {"a": None}, {}]},
    {"a": [], "b": {}, "id": None, "n": ""},
    [1, [2], "x,y"],
    "a,b",
    5,
    None,
]


def one(data: bytes) -> None:
    text = data[:LONGEST].decode("utf-8", "replace")
    try:
        read_mapping_text(text)
    except ConfigurationError as error:
        assert str(error)
    leading_path(text)
    expression = classify(text)
    if isinstance(expression, Constant | PlainPath):
        agree(next(filter(None, map(compiled, readings_of(text)))), getter_of(expression))
    for reading in readings_of(text):
        native = compile_native([reading])
        if native is not None:
            program = compiled(reading)
            assert program is not None, reading
            agree(program, evaluator(native))


def compiled(text: str) -> Any:
    """JQ's program; None if this is no JQ. What Python understands has no way out of JQ, so it is safe to run."""
    try:
        return jq.compile(f"({text}\n) | tojson")
    except ValueError:
        return None


def getter_of(expression: Constant | PlainPath) -> Any:
    return (
        (lambda _: expression.value)
        if isinstance(expression, Constant)
        else evaluator(plain_path(expression.steps))
    )


def agree(program: Any, evaluate: Any) -> None:
    """What Python gives for an expression, where it is sure, is what JQ gives."""
    for item in ITEMS:
        try:
            ours: tuple[Any, ...] = ("value", plain(evaluate(item)))
        except UnsureError:
            continue
        except PathError:
            ours = ("error",)
        except NoResultError:
            ours = ("nothing",)
        theirs = with_jq(program, item)
        assert ours[0] == theirs[0], (item, ours, theirs)
        assert same(ours[1:], theirs[1:]), (item, ours, theirs)


def with_jq(program: Any, item: Any) -> tuple[Any, ...]:
    try:
        return "value", json.loads(program.input_text(json.dumps(item)).first())
    except StopIteration:
        return ("nothing",)
    except ValueError:
        return ("error",)


def same(ours: Any, theirs: Any) -> bool:
    """The same JSON: 1 is 1.0, but not true."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple) and isinstance(theirs, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


SEEDS = [
    b'.a.b[0]? | ."a b"',
    b"'text'",
    b".[-1]",
    b"-12.5",
    b'(. as $x | .a // "none") | map(.b)',
    b'if .a == "x" and .b != null then .n | ascii_downcase else "no" end',
    b'[.l[] | select(.a) | .a + 1] | join(",")',
    b'.n | split("-") | first // "\\(.id) x"',
    b"""resources:
  - kind: issue
    selector: {query: "true"}
    port:
      itemsToParse: .items
      entity:
        mappings:
          identifier: .id | tostring
          blueprint: '"issue"'
          properties: {state: .state, n: 7}
          relations: {owner: {combinator: '"and"', rules: [{property: '"x"', operator: '"="', value: .v}]}}
""",
    b"kind: a\nselector: {query: .a}\nport: {entity: {mappings: {identifier: .id, blueprint: '\"b\"'}}}\n",
]
