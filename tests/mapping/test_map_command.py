"""`tidegate map`: items in, entities out, and an exit code that a script can rely on."""

import json
from pathlib import Path

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from tidegate.cli.mapping import map_command
from tidegate.core.errors import ConfigurationError

MAPPING = """\
resources:
  - kind: issue
    selector: {query: .keep}
    port:
      entity:
        mappings:
          identifier: .id
          blueprint: '"issue"'
          properties: {count: .n.x, name: .name | ascii_upcase}
  - kind: other
    selector: {query: 'true'}
    port: {entity: {mappings: {identifier: .id, blueprint: '"other"'}}}
  - kind: issue
    selector: {query: 'true'}
    port: {entity: {mappings: {identifier: .id, blueprint: '"copy"'}}}
"""
A = {"id": "a", "keep": True, "n": {"x": [1]}, "name": "é"}
NAMED = {"identifier": "a", "blueprint": "issue", "properties": {"count": [1], "name": "é"}}
COPY = {"identifier": "a", "blueprint": "copy"}


@pytest.fixture
def mapping(tmp_path: Path) -> str:
    file = tmp_path / "mapping.yml"
    file.write_text(MAPPING)
    return str(file)


def run(mapping: str, *arguments: str, items: str = json.dumps([A])) -> Result:
    app = typer.Typer(pretty_exceptions_enable=False)
    app.command()(map_command)
    return CliRunner().invoke(app, ["--mapping", mapping, *arguments], input=items)


def refused(mapping: str, *arguments: str, items: str = json.dumps([A])) -> str:
    result = run(mapping, *arguments, items=items)
    assert isinstance(result.exception, ConfigurationError)  # `tidegate` makes exit code 2 of it
    return str(result.exception)


@pytest.mark.parametrize(
    "items", [json.dumps([A]), json.dumps(A), json.dumps(A) + "\n\n", f"\n{json.dumps(A)}"]
)
def test_entities_are_printed_as_json(mapping: str, items: str) -> None:
    result = run(mapping, "--kind", "issue", items=items)
    assert json.loads(result.stdout) == [NAMED, COPY]
    assert (result.stderr, result.exit_code) == ("", 0)


def test_entities_are_printed_one_a_line(mapping: str) -> None:
    lines = f"{json.dumps(A)}\n{json.dumps(A)}\n"
    result = run(mapping, "--kind", "issue#2", "--jsonl", items=lines)
    assert [json.loads(line) for line in result.stdout.splitlines()] == [COPY, COPY]


def test_warnings_and_what_is_not_selected_go_to_the_standard_error(mapping: str) -> None:
    items = [A, {"id": "b", "keep": False, "name": 5}, {"id": "c", "keep": None}]
    result = run(mapping, "--kind", "issue", "--jsonl", items=json.dumps(items))
    assert result.stderr.splitlines() == [
        "issue: item 1: properties.name: explode input must be a string (in .name | ascii_upcase)",
        "issue: item 2: selector: must be true or false, not null (in .keep)",
        "not selected: issue/b (a live event would delete it)",
    ]
    assert len(result.stdout.splitlines()) == 4
    assert result.exit_code == 1


def test_programs_get_everything_in_one_object(mapping: str) -> None:
    items = [{"id": "b", "keep": False}, {"id": None, "keep": True}]
    result = run(mapping, "--kind", "issue", "--json", items=json.dumps(items))
    document = json.loads(result.stdout)
    assert sorted(document) == ["entities", "not_selected", "skipped", "warnings"]
    assert [each["identifier"] for each in document["not_selected"]] == ["b"]
    assert (document["skipped"], len(document["warnings"]), result.stderr, result.exit_code) == (2, 3, "", 1)


@pytest.mark.parametrize(
    ("items", "complaint"),
    [
        ("", "there are no items on the standard input"),
        (" \n", "there are no items on the standard input"),
        ('{"a": 1', "no JSON: Expecting ',' delimiter"),
        ('[{"a": 1}, ]', "no JSON: "),
        ('{"a": 1}\n{"a": \n', "line 2 of the items is no JSON: Expecting value"),
        ("[" * 100_000, "no JSON: "),
    ],
)
def test_items_that_cannot_be_read_are_refused(mapping: str, items: str, complaint: str) -> None:
    assert complaint in refused(mapping, "--kind", "issue", items=items)


def test_wrong_usage_is_refused(mapping: str, tmp_path: Path) -> None:
    assert refused(mapping, "--kind", "nope").endswith("has no entry of kind nope; it has issue, other")
    assert "there is no such file" in refused(str(tmp_path / "nope.yml"), "--kind", "issue")
    assert "choose one of" in refused(mapping, "--kind", "issue", "--json", "--jsonl")
    assert run(mapping).exit_code == 2
