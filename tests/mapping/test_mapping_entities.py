"""What items become: selectors, skipped items, fields that fail, unfolding, and what is passed on untouched."""

import asyncio
import json
from collections.abc import Sequence
from typing import Any

import pytest

from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Mapped
from tidegate.mapping import JqMapper, parse_mapping


def entry(query: str = "true", port: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    mappings = {"identifier": ".id", "blueprint": '"thing"', **fields}
    return {
        "kind": "thing",
        "selector": {"query": query},
        "port": {"entity": {"mappings": mappings}, **(port or {})},
    }


def map_items(resource: dict[str, Any], items: Sequence[Any], *, select: bool = True) -> Mapped:
    (config,) = parse_mapping({"resources": [resource]}).configs

    async def run() -> Mapped:
        mapper = JqMapper([config])
        try:
            return await mapper.map(config, items, select=select)
        finally:
            await mapper.close()

    return asyncio.run(run())


def entities(mapped: Mapped) -> list[Any]:
    return [json.loads(entity.to_json()) for entity in mapped.passed]


def properties(mapped: Mapped) -> dict[str, Any]:
    return entities(mapped)[0]["properties"]


def warned(mapped: Mapped) -> list[tuple[int, str, str]]:
    return [(warning.item, warning.field, warning.reason) for warning in mapped.warnings]


@pytest.mark.parametrize("query", [".keep", ".keep == true"])
def test_the_selector_parts_the_items(query: str) -> None:
    mapped = map_items(entry(query), [{"id": "1", "keep": True}, {"id": "2", "keep": False}])
    assert [entity.identifier for entity in mapped.passed] == ["1"]
    assert [entity.identifier for entity in mapped.failed] == ["2"]
    assert mapped.skipped == 0


@pytest.mark.parametrize(
    ("query", "reason"),
    [
        (".missing", "must be true or false, not null"),
        (".id", "must be true or false, not string"),
        ('"true"', "must be true or false, not string"),
        ("empty", "gave no result"),
        (".id.x", 'Cannot index string with string ("x")'),
        (".id | tonumber", 'string ("a") cannot be parsed as a number'),
        (".a ==", "does not compile: syntax error, unexpected end of file (line 1, column 4)"),
    ],
)
def test_an_item_whose_selector_is_no_boolean_neither_passes_nor_fails(query: str, reason: str) -> None:
    mapped = map_items(entry(query, properties={"bad": ".id.x"}), [{"id": "a"}])
    assert (mapped.passed, mapped.failed, mapped.skipped) == ((), (), 1)
    assert warned(mapped) == [(0, "selector", reason)]


@pytest.mark.parametrize("query", ["false", ".missing", ".a ==", "empty", ".id | tonumber"])
def test_a_deleted_item_does_not_ask_the_selector(query: str) -> None:
    mapped = map_items(entry(query, title=".id | ascii_upcase"), [{"id": "a"}], select=False)
    assert entities(mapped) == [{"identifier": "a", "blueprint": "thing", "title": "A"}]
    assert (mapped.failed, mapped.warnings) == ((), ())


@pytest.mark.parametrize("value", [None, 0, "", False, [], {}])
def test_a_falsy_identifier_skips_the_item(value: Any) -> None:
    mapped = map_items(entry(), [{"id": value}, {"id": "b"}])
    assert [entity.identifier for entity in mapped.passed] == ["b"]
    assert warned(mapped) == [(0, "identifier", f"is {json.dumps(value)}: the item is skipped")]
    assert mapped.skipped == 1


@pytest.mark.parametrize("value", [5, 1.5, ["a"], {"a": 1}, True, " "])
def test_other_identifiers_pass_through(value: Any) -> None:
    assert map_items(entry(), [{"id": value}]).passed[0].identifier == value


@pytest.mark.parametrize(
    ("expression", "blueprint"),
    [(".b", "other"), (".n", "5"), (".none", None), (".o", None), (".b.c", None), (".t", None)],
)
def test_a_blueprint_is_text(expression: str, blueprint: str | None) -> None:
    item = {"id": "1", "b": "other", "n": 5, "o": {"a": 1}, "t": True}
    mapped = map_items(entry(blueprint=expression), [item])
    assert [entity.blueprint for entity in mapped.passed] == ([blueprint] if blueprint else [])
    assert mapped.skipped == (0 if blueprint else 1)


def test_a_field_that_fails_is_null_and_warned_of_and_nothing_else_suffers() -> None:
    mapped = map_items(
        entry(
            title=".id | ascii_upcase",
            properties={
                "plain": ".x",
                "missing": ".y",
                "native": ".id.z",
                "jq": ".id | tonumber",
                "empty": ".x | empty",
                "guarded": ".id.z?",
                "broken": ".a |",
                "null": ".y | .",
            },
        ),
        [{"id": "a", "x": 1}],
    )
    assert entities(mapped)[0]["title"] == "A"
    assert properties(mapped) == dict.fromkeys(
        ("missing", "native", "jq", "empty", "guarded", "broken", "null")
    ) | {"plain": 1}
    assert warned(mapped) == [
        (0, "properties.native", 'Cannot index string with string ("z")'),
        (0, "properties.jq", 'string ("a") cannot be parsed as a number'),
        (0, "properties.empty", "gave no result"),
        (0, "properties.guarded", "gave no result"),
        (0, "properties.broken", "does not compile: syntax error, unexpected end of file (line 1, column 4)"),
    ]


def test_fields_that_the_mapping_does_not_name_are_not_sent() -> None:
    assert entities(map_items(entry(), [{"id": "a"}])) == [{"identifier": "a", "blueprint": "thing"}]
    named = map_items(entry(title=".t", relations={}, properties={"p": ".p"}), [{"id": "a"}])
    assert entities(named) == [
        {"identifier": "a", "blueprint": "thing", "title": None, "properties": {"p": None}, "relations": {}}
    ]


@pytest.mark.parametrize("icon", [".o", "[.id]", ".o | ."])
def test_an_icon_that_is_no_text_does_not_lose_the_entity(icon: str) -> None:
    mapped = map_items(entry(icon=icon), [{"id": "a", "o": {"a": 1}}, {"id": "b", "o": {}}])
    assert [(entity.identifier, entity.icon) for entity in mapped.passed] == [("a", None), ("b", None)]
    assert {field for _, field, _ in warned(mapped)} == {"icon"}


def test_icon_and_team_turn_numbers_into_text_and_team_may_be_more() -> None:
    item = {"id": "a", "n": 5, "l": ["x"], "o": {"combinator": "and", "rules": []}}
    assert map_items(entry(icon=".n", team=".n"), [item]).passed[0].icon == "5"
    for team, value in ((".n", "5"), (".l", ["x"]), (".o", item["o"]), (".none", None)):
        assert map_items(entry(team=team), [item]).passed[0].team == value


def test_search_objects_keep_their_shape_and_every_value_in_them_is_jq() -> None:
    search = {
        "combinator": '"or"',
        "rules": [
            {"property": "'$email'", "operator": '"="', "value": ".mail | ascii_downcase"},
            {
                "combinator": '"and"',
                "rules": [{"property": '"p"', "operator": '"="', "value": ".id | tonumber"}],
            },
        ],
    }
    expected = {
        "combinator": "or",
        "rules": [
            {"property": "$email", "operator": "=", "value": "a@b"},
            {"combinator": "and", "rules": [{"property": "p", "operator": "=", "value": None}]},
        ],
    }
    mapped = map_items(
        entry(identifier=search, team=search, relations={"r": search}), [{"id": "x", "mail": "A@B"}]
    )
    (entity,) = mapped.passed
    assert (entity.identifier, entity.team, entity.relations) == (expected, expected, {"r": expected})
    assert [field for _, field, _ in warned(mapped)] == [
        "identifier.rules[1].rules[0].value",
        "team.rules[1].rules[0].value",
        "relations.r.rules[1].rules[0].value",
    ]


def test_only_the_first_output_counts() -> None:
    mapped = map_items(entry(properties={"p": ".l[]", "q": "first(.l[], error)"}), [{"id": "a", "l": [1, 2]}])
    assert properties(mapped) == {"p": 1, "q": 1}


@pytest.mark.parametrize("expression", [".big", ".big | .", "[.big] | .[0]"])
def test_numbers_keep_their_digits(expression: str) -> None:
    big = 123456789012345678901234567890
    mapped = map_items(entry(properties={"p": expression}), [{"id": "a", "big": big}])
    assert properties(mapped) == {"p": big}


@pytest.mark.parametrize("expression", [".u", ".u | .", ".all", ".all | ."])
def test_text_that_utf8_cannot_spell_is_mended_and_loses_nothing(expression: str) -> None:
    item = {"id": "a", "u": "x\ud834", "all": {"u": "x\ud834"}}
    value = properties(map_items(entry(properties={"p": expression}), [item]))["p"]
    assert value in ("x\ufffd", {"u": "x\ufffd"})


def test_an_item_that_is_no_json_is_skipped() -> None:
    items = [{"id": "a", "x": object()}, {"id": "b"}]
    mapped = map_items(entry(title=".id | @text | ascii_upcase"), items)
    assert [entity.title for entity in mapped.passed] == ["B"]
    assert warned(mapped) == [
        (0, "item", "is not JSON: an object of type object stands in it: the item is skipped")
    ]
    native = map_items(entry(title=".id", properties={"x": ".x"}), items)
    assert native.passed[0].properties == {"x": None}
    assert warned(native) == [(0, "properties.x", "is not JSON: an object of type object stands in it")]


@pytest.mark.parametrize("item", ["text", 5, None, ["id"]])
def test_items_need_not_be_objects(item: Any) -> None:
    mapped = map_items(entry(identifier='"fixed"', properties={"all": "."}), [item])
    assert properties(mapped) == {"all": item}


@pytest.mark.parametrize("count", [0, 1, 31, 32, 33, 300])
def test_any_number_of_items_comes_out_in_order(count: int) -> None:
    items = [{"id": f"i{number}", "n": number} for number in range(count)]
    mapped = map_items(entry("true", properties={"n": ".n", "twice": ".n * 2"}), items)
    assert [(entity.identifier, entity.properties) for entity in mapped.passed] == [
        (f"i{number}", {"n": number, "twice": 2 * number}) for number in range(count)
    ]


PARENT = {"id": "p", "list": [{"id": "a"}, {"id": "b"}], "nested": {"list": [{"id": "x"}], "keep": 1}}


@pytest.mark.parametrize(
    ("expression", "identifiers", "left"),
    [
        (".list", ["a", "b"], {"list": None, "nested": PARENT["nested"]}),
        (".list | .", ["a", "b"], {"list": None, "nested": PARENT["nested"]}),
        (".nested.list", ["x"], {"list": PARENT["list"], "nested": {"keep": 1}}),
        (".list[0:1]", ["a"], {"list": [{"id": "b"}], "nested": PARENT["nested"]}),
        ("[.list[]]", ["a", "b"], {"list": PARENT["list"], "nested": PARENT["nested"]}),
        ("[.list[1], .nested.list[0]]", ["b", "x"], {"list": PARENT["list"], "nested": PARENT["nested"]}),
        (".none // []", [], None),
    ],
)
@pytest.mark.parametrize("identifier", [".item.id", ".item.id | ."])
def test_items_are_unfolded(expression: str, identifiers: list[str], left: Any, identifier: str) -> None:
    resource = entry(
        identifier=identifier,
        properties={"parent": ".id", "list": ".list", "nested": ".nested"},
        port={"itemsToParse": expression},
    )
    mapped = map_items(resource, [PARENT])
    assert [entity.identifier for entity in mapped.passed] == identifiers
    assert all(entity.properties == {"parent": "p", **left} for entity in mapped.passed)
    assert mapped.warnings == ()


def test_unfolding_can_use_another_name_and_keep_the_list() -> None:
    port = {"itemsToParse": ".list", "itemsToParseName": "it's", "itemsToParseTopLevelTransform": False}
    resource = entry(
        identifier='."it\'s".id', properties={"count": ".list | length", "all": ".list"}, port=port
    )
    assert [entity.properties for entity in map_items(resource, [PARENT]).passed] == [
        {"count": 2, "all": PARENT["list"]}
    ] * 2


def test_an_item_of_many_elements_is_unfolded_in_parts() -> None:
    resource = entry(
        identifier=".item | tostring",
        properties={"item": ".item", "base": ".base"},
        port={"itemsToParse": ".many"},
    )
    mapped = map_items(resource, [{"many": list(range(1, 100)), "base": "b"}, {"many": [100], "base": "c"}])
    assert [entity.properties for entity in mapped.passed] == [
        {"item": number, "base": "b" if number < 100 else "c"} for number in range(1, 101)
    ]


@pytest.mark.parametrize(
    ("expression", "item", "reason"),
    [
        (".id", {"id": "p"}, "must be a list, not string"),
        (".none", {"id": "p"}, "must be a list, not null"),
        (".id.x", {"id": "p"}, 'Cannot index string with string ("x")'),
        (".id | tonumber", {"id": "p"}, 'string ("p") cannot be parsed as a number'),
        ("empty", {"id": "p"}, "gave no result"),
        (".list |", {"id": "p"}, "does not compile: syntax error, unexpected end of file (line 1, column 7)"),
        ('"x"', {"id": "p"}, "must be a list, not string"),
        (".", [1], "must have an object to merge into, not array"),
    ],
)
def test_what_cannot_be_unfolded_is_skipped_and_said_so(expression: str, item: Any, reason: str) -> None:
    mapped = map_items(entry(port={"itemsToParse": expression}), [item])
    assert (mapped.passed, mapped.failed, mapped.skipped) == ((), (), 1)
    assert warned(mapped) == [(0, "itemsToParse", f"{reason}: the item is skipped")]


def test_warnings_come_in_the_order_of_the_items() -> None:
    resource = entry(properties={"p": ".item | tonumber"}, port={"itemsToParse": ".list"})
    items = [{"id": "1", "list": ["x"]}, {"id": "2"}, {"id": "3", "list": ["y"]}]
    assert [warning.item for warning in map_items(resource, items).warnings] == [0, 1, 2]


def test_items_are_left_as_they_were() -> None:
    item = json.loads(json.dumps(PARENT))
    map_items(entry(properties={"n": ".nested"}, port={"itemsToParse": ".nested.list"}), [item])
    assert item == PARENT


def test_a_config_of_another_mapping_is_refused() -> None:
    (config,) = parse_mapping({"resources": [entry()]}).configs
    with pytest.raises(ConfigurationError, match="has no entry thing; it has none"):
        asyncio.run(JqMapper([]).map(config, []))
