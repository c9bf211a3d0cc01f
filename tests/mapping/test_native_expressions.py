"""What is evaluated without JQ gives what JQ gives: values, errors and silence."""

import json
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.mapping.jq_itself import with_jq
from tidegate.mapping.expressions import (
    Constant,
    JqExpression,
    PlainPath,
    classify,
    leading_path,
    readings_of,
)
from tidegate.mapping.operations import evaluator, plain_path
from tidegate.mapping.paths import NoResultError, PathError, without
from tidegate.mapping.values import NotJsonError, encode, plain

NAMES = ["a", "b", "and", "__loc__", "A1"]
KEYS = [*NAMES, "s q", "it's", "é", "", "a.b", "0"]

scalars = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=20,
)
steps = st.one_of(
    st.sampled_from(NAMES).map(lambda name: f".{name}"),
    st.sampled_from(KEYS).map(lambda key: f'."{key}"'),
    st.sampled_from(KEYS).map(lambda key: f'.["{key}"]'),
    st.sampled_from(KEYS).map(lambda key: f'["{key}"]'),
    st.integers(-5, 5).map(lambda index: f".[{index}]"),
    st.integers(-5, 5).map(lambda index: f"[{index}]"),
)
guards = st.sampled_from(["", "", "?"])
joints = st.sampled_from(["", "", "|", " | ", "| ", "\n|\t"])
paths = st.tuples(
    st.sampled_from(["", " ", "\n"]),
    st.lists(st.tuples(joints, steps, guards).map("".join), min_size=1, max_size=5).map("".join),
    st.sampled_from(["", " "]),
).map("".join)


def natively(path: PlainPath, document: Any) -> tuple[str, Any]:
    try:
        return "value", plain(evaluator(plain_path(path.steps))(document))
    except PathError as error:
        return "error", str(error)
    except NoResultError:
        return "nothing", None


@given(paths, documents)
@example(".a?//.b", {"b": 1})
@example(".a??", 1)
@example(".a.b?", 5)
@example("[0]", [1])
@example(".a | [0]", {"a": [1]})
@example(".", "text")
@example(".[-0]", [1, 2])
@settings(max_examples=300, deadline=None)
def test_paths_agree_with_jq(path: str, document: Any) -> None:
    expression = classify(path)
    if isinstance(expression, PlainPath):
        assert natively(expression, document) == with_jq(path, document)


@given(
    st.one_of(
        st.integers().map(str),
        st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
        st.text(max_size=8).map(lambda text: f'"{text}"'),
        st.sampled_from(["true", "false", "null", "-0", "1.", ".5", "1e3", "007", " true ", '"a" "b"', '""']),
    )
)
@settings(max_examples=300, deadline=None)
def test_constants_agree_with_jq(text: str) -> None:
    expression = classify(text)
    if isinstance(expression, Constant):
        outcome, value = with_jq(text, {})
        assert (outcome, value, type(value)) == ("value", expression.value, type(expression.value))


@pytest.mark.parametrize(
    "text",
    [".", ".a", " .a.b ", '."s q"', '.a["b c"][0]', ".a[-1].b", ".a?.b", ".a | .b", ".a|.b[0]?", ".and.if"],
)
def test_plain_paths_are_taken_out_of_jq(text: str) -> None:
    assert isinstance(classify(text), PlainPath)


@pytest.mark.parametrize("text", ["true", '"x"', "'x'", "' a '", "5", "-1.5", '"it\'s"', " null "])
def test_constants_are_taken_out_of_jq(text: str) -> None:
    assert isinstance(classify(text), Constant)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "..",
        ".a // 1",
        ".a[]",
        ".a[1:2]",
        '"a\\n"',
        '"\\(.a)"',
        ".é",
        "[0]",
        ".a # note",
        "$x",
        ".1",
        "1e3",
    ],
)
def test_the_rest_is_left_to_jq(text: str) -> None:
    assert isinstance(classify(text), JqExpression)


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("'x'", '"x"'),
        ("' a '", '" a "'),
        (".id + '/' + .name", '.id + "/" + .name'),
        (".nul // ''", '.nul // ""'),
        ("if .id == 'i1' then 'yes' else 'no' end", 'if .id == "i1" then "yes" else "no" end'),
        (".id +\n'x'", '.id +\n"x"'),
        ('"the dogs\' bone"', '"the dogs" bone"'),
        (".lo | map(.t) | join(', ')", ".lo | map(.t) | join(', \")"),
    ],
)
def test_single_quotes_at_the_ends_and_next_to_white_space_count_as_double(text: str, mended: str) -> None:
    assert readings_of(text)[-1] == mended


def test_single_quotes_inside_words_are_left_alone() -> None:
    assert readings_of('."it\'s"') == ('."it\'s"',)


@pytest.mark.parametrize(
    ("text", "path"),
    [
        (".a", ".a"),
        (".a.b // []", ".a.b"),
        ("(.model_breakdown // {} | to_entries)", ".model_breakdown"),
        (". as $all | ($all | .file.content.raw) // {}", ".file.content.raw"),
        (". as $r | .list | map(. + {p: $r.id})", ".list"),
        ('.["list"]', '.["list"]'),
        (".list[0:1]", ".list[0:1]"),
        (".list[]", ".list"),
        ("[.list[]]", ""),
        ("map(.x) | .foo", ""),
        (".", ""),
    ],
)
def test_the_leading_path_is_what_unfolding_takes_out(text: str, path: str) -> None:
    assert leading_path(text)[0] == path


@given(documents, st.lists(st.sampled_from([*NAMES, 0, 1, -1]), min_size=1, max_size=3))
@settings(max_examples=200, deadline=None)
def test_taking_out_a_path_agrees_with_del(document: Any, keys: list[str | int]) -> None:
    path = "".join(f".{key}" if isinstance(key, str) else f".[{key}]" for key in keys)
    expression = classify(path)
    assert isinstance(expression, PlainPath)
    before = json.dumps(document)
    outcome, value = with_jq(f"del({path})", document)
    if outcome == "value":
        assert without(document, expression.steps) == value
    assert json.dumps(document) == before


class Text(str):
    """As SDKs return it."""

    __slots__ = ()


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (float("nan"), None),
        (float("inf"), None),
        (10**30, 10**30),
        (1.0, 1.0),
        ("\ud834x", "\ufffdx"),
        ({"a": ("\ud834", {1: 2})}, {"a": ["\ufffd", {"1": 2}]}),
        ({"a": Text("x")}, {"a": "x"}),
    ],
)
def test_values_become_plain_json(value: Any, expected: Any) -> None:
    assert plain(value) == expected
    assert type(plain(value)) is type(expected)


def test_what_json_cannot_express_is_refused() -> None:
    circle: list[Any] = []
    circle.append(circle)
    for value in (object(), {"a": object()}, circle, {None: 1}, ["\ud834", object()]):
        with pytest.raises(NotJsonError):
            encode(value)
