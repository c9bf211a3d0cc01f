"""Functions that are written for a mapping hold nothing that its author wrote, and see nothing but what they need."""

import json
import re
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.mapping.jq_itself import with_jq
from tests.mapping.test_native_operations import documents, expressions
from tidegate.core.resources import EntityMapping, PortMapping, ResourceConfig, Selector
from tidegate.mapping.expressions import PlainPath, classify
from tidegate.mapping.native import compile_native
from tidegate.mapping.operations import One, evaluator, plain_path
from tidegate.mapping.reading import reader
from tidegate.mapping.recipe import Recipe

texts = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)
OUR_NAMES = re.compile(r"[cv]\d+|argument|error|get|append|type|dict")


def codes(function: Callable[..., Any]) -> Iterator[CodeType]:
    """The code of a written function and of those that it calls."""
    assert isinstance(function, FunctionType)
    yield function.__code__
    for bound in function.__globals__.values():
        if isinstance(bound, FunctionType) and bound is not function and is_written(bound):
            yield from codes(bound)


def is_written(function: FunctionType) -> bool:
    return function.__code__.co_filename == "<mapping>"


def holds_only_ours(function: Callable[..., Any]) -> bool:
    return all(
        all(OUR_NAMES.fullmatch(name) for name in (*code.co_names, *code.co_varnames))
        and all(constant is None or isinstance(constant, bool) for constant in code.co_consts)
        for code in codes(function)
    )


@given(texts.filter(lambda text: text != "b"))
@example('"); import os; os.abort(); ("')
@example("') or __import__('os').abort() or ('")
@example("a\nb = 1")
@example("a\\")
@example('"""')
@example("{0.__class__} {} {{")
@example("c0")
@example("argument")
def test_what_an_author_wrote_is_bound_and_never_written(text: str) -> None:
    quoted = json.dumps(text, ensure_ascii=False)
    entity = EntityMapping(
        identifier='"i"',
        blueprint='"thing"',
        properties={
            text: f".{quoted}",
            f"{text} field": f".[{quoted}] // .b",
            f"{text} text": f"if .b then {quoted} else 1 end",
            f"{text} pieces": f'"\\(.b)" + {quoted}',
            f"{text} first": f".[] | select(. == {quoted})",
        },
        relations={"r": {text: [quoted, ".b"]}},
    )
    recipe = Recipe(ResourceConfig("thing", "thing", Selector(), PortMapping(entity)))
    assert holds_only_ours(recipe.read)
    assert holds_only_ours(recipe._fill)
    made = recipe.finish(0, recipe.read({text: text, "b": "x"}), [], select=True)
    assert made is not None
    assert made[1].properties[text] == text
    assert made[1].relations == {"r": {text: [text, "x"]}}


def test_written_functions_see_two_builtins() -> None:
    one = compile_native([".a[] | select(.b)"])
    assert one is not None
    function = evaluator(one)
    assert isinstance(function, FunctionType)
    assert len(list(codes(function))) == 2
    assert function.__globals__["__builtins__"].keys() == {"type", "dict"}


def one_of(text: str) -> One | None:
    expression = classify(text)
    return plain_path(expression.steps) if isinstance(expression, PlainPath) else compile_native([text])


@given(st.lists(expressions, min_size=2, max_size=6), documents)
@example([".a.b", ".a[]", ".a + 1", "first", ".a.b?", ".a"], {"a": "x"})
@settings(max_examples=300, deadline=None)
def test_fields_in_one_function_do_not_touch_each_other(several: list[str], document: Any) -> None:
    native = {slot: one for slot, text in enumerate(several) if (one := one_of(text)) is not None}
    together = reader(["blank"] * len(several), native)(document)
    doubts: list[bool] = []
    for slot in range(len(several)):
        alone = reader(["blank"], {0: native[slot]} if slot in native else {})(document)
        assert together.values[slot] == alone.values[0]
        assert together.faults.get(slot) == alone.faults.get(0)
        doubts.append(alone.doubt)
    assert together.doubt == any(doubts)


NESTED: Any = [[[[[[[[[[[[[[[{"a": 1}, {"a": 2}]]]]]]]]]]]]]]]


@pytest.mark.parametrize(
    ("expression", "deeper", "item"),
    [
        ("[.a" + "[]" * 15 + "]", "[.a" + "[]" * 16 + "]", {"a": NESTED}),
        ("map(" * 15 + ".a" + ")" * 15, "map(" * 16 + ".a" + ")" * 16, NESTED),
        (".a // " * 78 + ".b", ".a // " * 79 + ".b", {"b": 7}),
        ("if .a then 1 " + "elif .a then 2 " * 60 + "else .b end", "if .a then " * 21 + "1" + " end" * 21, {"b": 7}),
    ],
)  # fmt: skip
def test_what_python_would_not_compile_is_left_to_jq(expression: str, deeper: str, item: Any) -> None:
    one = compile_native([expression])
    assert one is not None
    reading = reader([None], {0: one})(item)
    assert (reading.faults, reading.doubt) == ({}, False)
    assert ("value", reading.values[0]) == with_jq(expression, item)
    assert compile_native([deeper]) is None
