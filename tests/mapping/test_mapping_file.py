"""Mapping files: what is accepted, and what the user is told otherwise."""

from pathlib import Path
from typing import Any

import pytest

from tidegate.core.errors import ConfigurationError
from tidegate.core.resources import TargetOptions
from tidegate.mapping import MappingFile, parse_mapping, read_mapping, read_mapping_text

GOOD = """\
createMissingRelatedEntities: false
repositoryType: all          # the integration's own
resources:
  - kind: issue
    selector:
      query: .keep
      jql: project = X
      startDate: 2024-05-06
    port:
      entity:
        mappings: &issue
          identifier: .key
          blueprint: '"jiraIssue"'
          title: .summary
          properties:
            count: 5
            open: true
            url: .self
          relations:
            project: .project
            assignee:
              combinator: '"and"'
              rules:
                - {property: '"$email"', operator: '"="', value: .mail}
  - kind: board
    selector: {query: 'true'}
    port:
      itemsToParse: .cards
      itemsToParseName: card
      itemsToParseTopLevelTransform: false
      entity:
        mappings: {identifier: .card.id, blueprint: '"card"', icon: '"Card"', team: .team}
  - kind: issue
    selector: {query: "true"}
    port:
      entity:
        mappings:
          <<: *issue
          identifier: .id
"""


def write(path: Path, text: str) -> Path:
    file = path / "port-app-config.yml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(path: Path, text: str) -> list[str]:
    with pytest.raises(ConfigurationError) as raised:
        read_mapping(write(path, text))
    first, *lines = str(raised.value).splitlines()
    assert first.startswith(f"{path}/port-app-config.yml: ")
    return [line.strip() for line in lines] or [first.removeprefix(f"{path}/port-app-config.yml: ")]


def entry(mappings: str = "identifier: .id, blueprint: .b", query: str = "'true'", more: str = "") -> str:
    return (
        f"resources:\n  - kind: thing\n    selector: {{query: {query}}}\n"
        f"    port: {{entity: {{mappings: {{{mappings}}}}}{more}}}\n"
    )


@pytest.fixture
def good(tmp_path: Path) -> MappingFile:
    return read_mapping(write(tmp_path, GOOD))


def test_entries_have_the_kind_as_id_and_further_ones_a_number(good: MappingFile) -> None:
    assert [(config.id, config.kind) for config in good.configs] == [
        ("issue", "issue"),
        ("board", "board"),
        ("issue#2", "issue"),
    ]


def test_selectors_keep_the_integrations_own_keys(good: MappingFile) -> None:
    assert good.configs[0].selector.query == ".keep"
    assert good.configs[0].selector.options == {"jql": "project = X", "startDate": "2024-05-06"}


def test_expressions_may_be_numbers_and_booleans(good: MappingFile) -> None:
    assert good.configs[0].port.entity.properties == {"count": "5", "open": "true", "url": ".self"}


def test_search_objects_are_kept_as_they_are(good: MappingFile) -> None:
    assert good.configs[0].port.entity.relations == {
        "project": ".project",
        "assignee": {
            "combinator": '"and"',
            "rules": [{"property": '"$email"', "operator": '"="', "value": ".mail"}],
        },
    }


def test_the_unfolding_keys_and_what_is_not_named(good: MappingFile) -> None:
    port = good.configs[1].port
    assert (port.items_to_parse, port.items_to_parse_name, port.items_to_parse_top_level_transform) == (
        ".cards",
        "card",
        False,
    )
    assert (port.entity.icon, port.entity.team) == ('"Card"', ".team")
    assert (port.entity.title, port.entity.properties, port.entity.relations) == (None, None, None)
    plain = good.configs[0].port
    assert (plain.items_to_parse, plain.items_to_parse_name, plain.items_to_parse_top_level_transform) == (
        None,
        "item",
        True,
    )


def test_yaml_anchors_work(good: MappingFile) -> None:
    entity = good.configs[2].port.entity
    assert (entity.identifier, entity.title) == (".id", ".summary")


def test_options_have_the_defaults_of_ports_framework(good: MappingFile) -> None:
    assert good.options == TargetOptions(
        delete_dependent_entities=True, create_missing_related_entities=False, enable_merge_entity=True
    )
    assert parse_mapping({"resources": []}).options == TargetOptions(True, True, True)


def test_the_document_is_kept_whole(good: MappingFile) -> None:
    assert good.document["repositoryType"] == "all"
    assert good.document["resources"][0]["selector"]["startDate"] == "2024-05-06"


@pytest.mark.parametrize("text", ["resources: &a [*a]", "resources: []\nx: &a {b: *a}"])
def test_an_alias_inside_of_what_it_names_is_refused(tmp_path: Path, text: str) -> None:
    assert "JSON" in "".join(problems(tmp_path, text))


def test_json_is_a_mapping_file_too(tmp_path: Path) -> None:
    assert read_mapping(write(tmp_path, '{"resources": []}')).configs == ()


def test_unknown_keys_are_passed_over(tmp_path: Path) -> None:
    text = entry(more=", later: 1") + "    note: x\nresourcesOfTomorrow: 5\n"
    assert len(read_mapping(write(tmp_path, text)).configs) == 1


AT = "resources[0].port.entity.mappings"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ["the document: must be an object with `resources`, not null"]),
        ("- a\n", ["line 1: the document: must be an object with `resources`, not array"]),
        (
            "resource: []\n",
            [
                "line 1: resource: is not known here; did you mean resources?",
                "line 1: resources: is missing; it takes a list with an entry for each kind",
            ],
        ),
        (
            "resources: {}\n",
            ["line 1: resources: takes a list with an entry for each kind; an object stands"],
        ),
        (
            entry("identifer: .id, blueprint: .b"),
            [
                f"line 4: {AT}.identifer: is not known here; did you mean identifier?",
                f"line 4: {AT}.identifier: is missing; it takes a JQ expression such as .id, or a search",
            ],
        ),
        (entry(query="[.a]"), ["line 3: resources[0].selector.query: takes a JQ expression that gives true"]),
        (
            entry("identifier: .id, blueprint: .b, properties: {kind: [.a], query: {a: 1}}"),
            [
                f"line 4: {AT}.properties.kind: takes a JQ expression; an array stands there",
                f"line 4: {AT}.properties.query: takes a JQ expression; an object stands there",
            ],
        ),
        (
            entry("identifier: .id, blueprint: .b, relations: {r: null, s: {combinator: .a}}"),
            [
                f"line 4: {AT}.relations.r: takes a JQ expression or a search object; a null stands there",
                f"line 4: {AT}.relations.s.rules: is missing; it takes a list of rules with `property`",
            ],
        ),
        (
            entry("identifier: .id, blueprint: .b, properties: null"),
            [f"line 4: {AT}.properties: takes an object of JQ expressions; without properties, leave it out"],
        ),
        (
            "deleteDependentEntities: sometimes\n" + entry(more=", itemsToParseTopLevelTransform: 1"),
            [
                "line 1: deleteDependentEntities: takes true or false; a string stands there",
                "line 5: resources[0].port.itemsToParseTopLevelTransform: takes true or false; a number",
            ],
        ),
        (
            entry("identifier: .id, blueprint: .b, identifier: .key"),
            [f"line 4: {AT}.identifier: is given twice, first on line 4: keep one"],
        ),
        (
            entry("identifier: .id, blueprint: .b, properties: {on: .on, 5: .five}"),
            [
                f'line 4: {AT}.properties: the key on is no text to YAML: write it in quotes, "on"',
                f'line 4: {AT}.properties: the key 5 is no text to YAML: write it in quotes, "5"',
            ],
        ),
        ('resources: []\nx: "\\ud834"\n', ["line 1: the document: holds text that is not valid Unicode"]),
        ("a: [\n", ["line 2: this is no YAML: expected the node content, but found '<stream end>'"]),
        ("a: b: c\n", ["line 1: this is no YAML: mapping values are not allowed here"]),
        ("a: !!python/name:os.system x\n", ["line 1: this is no YAML: could not determine a constructor"]),
    ],
)
def test_every_problem_is_told_with_its_place(tmp_path: Path, text: str, expected: list[str]) -> None:
    found = problems(tmp_path, text)
    assert [line[: len(start)] for line, start in zip(found, expected, strict=True)] == expected


def test_problems_of_several_entries_are_told_together(tmp_path: Path) -> None:
    text = entry() + "  - kind: ''\n    selector: {}\n  - 5\n"
    assert [line.partition(";")[0] for line in problems(tmp_path, text)] == [
        "line 5: resources[1].kind: takes the kind's name, as the processors name it",
        "line 5: resources[1].port: is missing",
        "line 6: resources[1].selector.query: is missing",
        "line 7: resources[2]: takes a list with an entry for each kind",
    ]


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="there is no such file"):
        read_mapping(tmp_path / "nowhere.yml")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_mapping(tmp_path)
    binary = tmp_path / "binary.yml"
    binary.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        read_mapping(binary)


@pytest.mark.parametrize("value", [None, [], "text", 5])
def test_a_document_from_elsewhere_names_its_source(value: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^Port's answer: 1 problem in the mapping"):
        parse_mapping(value, "Port's answer")


def test_a_control_character_is_no_yaml() -> None:
    with pytest.raises(ConfigurationError, match="this is no YAML"):
        read_mapping_text("kind: \x7f")
