"""What can be made from the code is, and everything public has its place in the documentation."""

import importlib
import re

import pytest

import tidegate
from scripts.docs_reference.__main__ import generated
from scripts.docs_reference.commands import all_commands
from scripts.docs_reference.metrics import all_metrics
from scripts.docs_reference.settings import setting_names
from tests.docs.pages import DOCS, ROOT, name_of
from tidegate.core.lifecycle import EventState, RunState

STALE = "is not what the code says: run `make docs-reference` and commit the result"

WORDS = """
live event, processor, kind, resource config, raw results, entity, target, plan, state applier, engine,
claim, settlement, dead letter, resource key, coalesce, resync, redrive, replay, drain
"""


@pytest.mark.parametrize("page", [pytest.param(page, id=name_of(page)) for page in generated()])
def test_generated_parts_are_up_to_date(page) -> None:
    assert page.exists(), f"{name_of(page)} {STALE}"
    assert page.read_text(encoding="utf-8") == generated()[page], f"{name_of(page)} {STALE}"


def test_every_setting_is_documented() -> None:
    text = (DOCS / "reference" / "settings.md").read_text()
    missing = [name for name in setting_names() if f"`{name}`" not in text]
    assert not missing, f"settings.md {STALE}"


def test_every_command_is_documented() -> None:
    text = (DOCS / "reference" / "cli.md").read_text()
    missing = [name for name, _ in all_commands() if f"\n## {name}\n" not in text]
    assert not missing, f"cli.md {STALE}"
    silent = [
        f"{name} {parameter.opts[0]}"
        for name, command in all_commands()
        for parameter in command.params
        if not parameter.help and parameter.opts[0] != "--content-type"
    ]
    assert not silent, "these options have no help"


def test_every_metric_is_documented() -> None:
    text = (DOCS / "reference" / "metrics.md").read_text()
    missing = [metric.name for metric in all_metrics() if f"`{metric.name}`" not in text]
    assert not missing, f"metrics.md {STALE}"


def test_every_public_name_is_documented() -> None:
    text = (DOCS / "reference" / "author-api.md").read_text()
    missing = [name for name in tidegate.__all__ if f"`{name}`" not in text]
    assert not missing, "docs/reference/author-api.md lacks these names of tidegate.__all__"


@pytest.mark.parametrize("states", [EventState, RunState])
def test_every_state_is_explained(states) -> None:
    text = (DOCS / "reference" / "states.md").read_text()
    missing = [state.value for state in states if f"| `{state.value}` | " not in text]
    assert not missing


def test_the_glossary_has_every_word_in_order() -> None:
    text = (DOCS / "glossary.md").read_text()
    entries = re.findall(r"^\*\*(.+)\*\*$", text, re.MULTILINE)
    assert {word.strip() for word in WORDS.split(",")} <= set(entries)
    assert entries == sorted(entries)


def test_every_change_fragment_is_one_line() -> None:
    for fragment in (ROOT / "changes").glob("*.*.md"):
        assert fragment.suffixes[-2] in {".added", ".changed", ".fixed"}, fragment.name
        assert len(fragment.read_text().strip().splitlines()) == 1, fragment.name


def test_names_that_vulture_passes_over_exist() -> None:
    importlib.import_module("scripts.vulture_names")
