"""Expressions that Python evaluates give what jq gives, or leave it to jq."""

import asyncio
import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.mapping.jq_itself import with_jq
from tidegate.core.resources import EntityMapping, PortMapping, ResourceConfig, Selector
from tidegate.mapping import JqMapper
from tidegate.mapping.expressions import readings_of
from tidegate.mapping.functions import UnsureError
from tidegate.mapping.native import compile_native
from tidegate.mapping.operations import evaluator
from tidegate.mapping.paths import NoResultError
from tidegate.mapping.values import plain

NAMES = ["a", "b", "c"]

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, -1, 7, 2**53 - 1, 2**53, 2**53 + 1, -(2**53), 10**20]),
    st.sampled_from([0.0, 1.0, 0.1, -2.5, 1e17, 1e300]),
    st.sampled_from(["", "a", "b", "ab", "a,b", ",", "A b", "É", "naïve ☃ 𝄞", "1", "true", "a\nb", '"\\']),
    st.text(max_size=3),
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=12,
)
leaves = st.one_of(
    st.sampled_from(
        [".a", ".b", ".a.b", ".a[0]", ".a[-1]", ".[0]", ".", '."a"', '.["b"]', ".a[1:]", ".[:2]"]
    ),
    st.sampled_from(["null", "true", "false", "0", "7", '""', '"a"', '"a,b"', '"\\n\\"\\\\"', "[]"]),
    st.sampled_from(["length", "tostring", "not", "first", "last", "ascii_downcase", "ascii_upcase"]),
    st.sampled_from([".[]", ".a[]", ".a[]?", ".[]?", ".[].a", ".a | .[]"]),
    st.sampled_from(
        ['split(",")', 'join(", ")', 'startswith("a")', 'endswith("b")', 'contains("a")', 'has("a")']
    ),
)


def compound(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    two = st.tuples(inner, inner)
    return st.one_of(
        st.tuples(
            inner,
            st.sampled_from(["|", " | ", " // ", "//", " + ", " == ", "==", " != ", " and ", " or "]),
            inner,
        ).map("".join),
        inner.map("({})".format),
        inner.map("[{}]".format),
        inner.map("map({})".format),
        inner.map("select({})".format),
        inner.map('"<\\({})>"'.format),
        inner.map("{}[]".format),
        inner.map("{}.b".format),
        inner.map("{}.[0]".format),
        inner.map("{}[1:]".format),
        inner.map("{}.[1:]".format),
        inner.map("startswith({})".format),
        two.map(lambda parts: "if {} then {} end".format(*parts)),
        st.tuples(inner, inner, inner).map(lambda parts: "if {} then {} else {} end".format(*parts)),
        st.tuples(inner, inner, inner).map(
            lambda parts: "if {} then 1 elif {} then {} else 2 end".format(*parts)
        ),
    )


expressions = st.recursive(leaves, compound, max_leaves=6)


def natively(expression: str, document: Any) -> tuple[str, Any]:
    """As `with_jq`; ("unsure", None) where jq is to be asked."""
    native = compile_native([expression])
    if native is None:
        return "unsure", None
    try:
        return "value", plain(evaluator(native)(document))
    except UnsureError:
        return "unsure", None
    except NoResultError:
        return "nothing", None


def same(ours: Any, theirs: Any) -> bool:
    """The same JSON: 1 is 1.0, but not true."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs and isinstance(ours, bool) == isinstance(theirs, bool)


@given(expressions, documents)
@example('"" | split(",")', None)
@example('[null, null] | join(",")', None)
@example('.a // .b // "x"', {"a": False, "b": None})
@example(".a + .b", {"a": 2**53, "b": 1})
@example(".a == .b", {"a": 1, "b": 1.0})
@example(".a == .b", {"a": True, "b": 1})
@example(".a == .b", {"a": [1], "b": 1})
@example(".a[]?//1", {"a": [1]})
@example("..a", {"a": 1})
@example(".. .a", {"a": 1})
@example(". .a", {"a": 1})
@example(".a .b", {"a": {"b": 1}})
@example(".a|=1", {"a": 1})
@example(".a//=1", {"a": None})
@example(".a == .b == .c", {})
@example(".a | first // 5", {"a": []})
@example("if .a then 1 else 2 end | . + 1", {"a": None})
@example("if . then 1 end", False)
@example("true or .a and false", {"a": True})
@example("1 + 2 == 3 and true", None)
@example(".a + .b // .c", {"c": 1})
@example("[.[] | select(.a)]", [{"a": 1}, {"a": None}, {"b": 1}])
@example('"\\("a" + "\\(.b)")"', {"b": 1})
@settings(max_examples=1500, deadline=None)
def test_python_gives_what_jq_gives(expression: str, document: Any) -> None:
    ours = natively(expression, document)
    if ours[0] != "unsure":
        theirs = with_jq(expression, document)
        assert ours[0] == theirs[0], (ours, theirs)
        assert same(ours[1], theirs[1]), (ours, theirs)


ITEM = {
    "id": 7,
    "state": "open",
    "labels": [{"name": "a"}, {"name": "b"}],
    "people": [{"login": "x", "kind": "user"}, {"login": None, "kind": "team"}],
    "url": "https://a.example/b/c",
    "empty": [],
    "nothing": None,
    "on": True,
}


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("[.labels[].name]", ["a", "b"]),
        (".people | map(.login)", ["x", None]),
        ('.state == "open"', True),
        ("'.' + .state", ".open"),
        (".id | tostring", "7"),
        ('.nothing // "none"', "none"),
        ('.people[] | select(.kind == "team") | .kind', "team"),
        ('.url | split("/") | .[:3] | join("/")', "https://a.example"),
        ('"\\(.id): \\(.state)"', "7: open"),
        ("if .nothing != null then .nothing else [] end", []),
        (".labels | length", 2),
        ('[.people[] | select(has("login")) | .login]', ["x", None]),
        ("(.on | not) or .state == 'open'", True),
        (".empty | first", None),
    ],
)
def test_what_mappings_are_made_of_needs_no_jq(expression: str, value: Any) -> None:
    native = compile_native(readings_of(expression))
    assert native is not None
    assert evaluator(native)(ITEM) == value
    assert ("value", value) == with_jq(readings_of(expression)[-1], ITEM)


@pytest.mark.parametrize(
    "expression",
    ["", ".a as $x | $x", "$ENV.HOME", "env", "input", ".a,.b", ".a | gsub(\"a\"; \"b\")", "{a: .a}", ".a?", ".a - 1", "@base64", "halt", "def f: 1; f", ".a # b", "map(.a; .b)", "not(1)", ".a.[1:]", ".a | .[0] .[-1:]", ".a | " * 30 + ".a", '"' + "x" * 2000 + '"', "(" * 100 + ".a" + ")" * 100],
)  # fmt: skip
def test_the_rest_is_left_to_jq(expression: str) -> None:
    assert compile_native(readings_of(expression)) is None


@pytest.mark.parametrize(
    ("expression", "ours"),
    [
        (".a" + " + .a" * 20, True),
        (".a" + " + .a" * 21, False),
        ('"' + "\\(.a)" * 21 + '"', True),
        ('"' + "\\(.a)" * 22 + '"', False),
        ('(.a + "/" + .b) | ascii_downcase', True),
        ('.a | split("/") | first + "/" + last', True),
        (".a + .b | . + .", False),
        (".a + .b | if . then [. + 1] else 0 end", False),
        ('.a | "\\(.)\\(.)" | "\\(.)\\(.)"', False),
        ('.a | "<\\(.)>" | "<\\(.)>"', True),
        ("map(.a + .b) | map(.[] | . + .)", False),
    ],
)  # fmt: skip
def test_what_multiplies_an_item_is_left_to_jq(expression: str, ours: bool) -> None:
    assert (compile_native([expression]) is not None) == ours
    assert with_jq(expression, None)[0] != "no jq"


def test_a_separator_is_not_multiplied_without_end() -> None:
    one = compile_native(["join(first)"])
    assert one is not None
    assert evaluator(one)(["-", "a", "b"]) == "--a-b"
    with pytest.raises(UnsureError):
        evaluator(one)(["-" * 2000] + ["a"] * 1000)


def test_items_in_doubt_are_mapped_by_jq_beside_the_others() -> None:
    """Errors are jq's own, order is kept, and what Python knew of the item stays."""
    config = ResourceConfig(
        id="thing",
        kind="thing",
        selector=Selector(query="true"),
        port=PortMapping(
            entity=EntityMapping(
                identifier=".id | tostring",
                blueprint='"thing"',
                properties={"n": ".n", "sum": ".n + 1", "size": ".n | length"},
            )
        ),
    )
    items = [{"id": "a", "n": None}, {"id": 2.5, "n": "x"}, {"id": "c", "n": [1]}, {"id": "d", "n": None}]

    async def run() -> Any:
        mapper = JqMapper([config])
        try:
            return await mapper.map(config, items)
        finally:
            await mapper.close()

    mapped = asyncio.run(run())
    assert [(entity.identifier, entity.properties) for entity in mapped.passed] == [
        ("a", {"n": None, "sum": 1, "size": 0}),
        ("2.5", {"n": "x", "sum": None, "size": 1}),
        ("c", {"n": [1], "sum": None, "size": 1}),
        ("d", {"n": None, "sum": 1, "size": 0}),
    ]
    assert [(warning.item, warning.field, warning.reason) for warning in mapped.warnings] == [
        (1, "properties.sum", with_jq(".n + 1", items[1])[1]),
        (2, "properties.sum", with_jq(".n + 1", items[2])[1]),
    ]
    assert json.loads(mapped.passed[0].to_json())["properties"]["sum"] == 1
