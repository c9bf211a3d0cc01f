"""Differential tests: real mappings and items, and what Port's framework makes of them.

The corpus is no part of the project. It is looked for beside the repository, or where
TIDEGATE_MAPPING_CORPUS says; without it these tests are skipped.
"""

import asyncio
import gzip
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError
from tidegate.core.plans import Plan, Proposal, Staged, make_plan
from tidegate.core.ports import Mapped
from tidegate.core.resources import ResourceConfig
from tidegate.mapping import JqMapper, parse_mapping

CORPUS = Path(
    os.environ.get("TIDEGATE_MAPPING_CORPUS")
    or Path(__file__).parents[2].parent / "shared" / "mapping-corpus"
)
pytestmark = pytest.mark.skipif(not CORPUS.is_dir(), reason="the mapping corpus is not there")

ENVIRONMENT = "expressions do not see the environment"
DIGITS = "integers keep all their digits"
TEXT_BLUEPRINT = "a blueprint is text: a number becomes text, anything else skips the item"
ICON = "an icon that is no text is null with a warning, instead of an error that loses the event"
ITEMS = "itemsToParse need not begin with a path"
BOOLEANS = "a YAML boolean stands for JQ's true or false, not for Python's True or False"
DEVIATIONS = {
    "sel:env": ENVIRONMENT,
    "pat:getenv": ENVIRONMENT,
    "pat:big": DIGITS,
    "pat:dotdot": DIGITS,
    "pat:if_noelse": DIGITS,
    "item:huge": DIGITS,
    "pat:dq_apos_sp": "an expression that is JQ as it stands is not rewritten",
    "pat:loc": "$__loc__ tells the line in the combined program",
    "bp:num": TEXT_BLUEPRINT,
    "bp:float": TEXT_BLUEPRINT,
    "bp:obj": TEXT_BLUEPRINT,
    "icon:obj": ICON,
    "icon:liststr": ICON,
    "icon:teamobj": ICON,
    "live:one-bad-entity": ICON,
    "raw-rel:bool": BOOLEANS,
    "raw-ident:bool": BOOLEANS,
    "itp:values": ITEMS,
    "itp:iter-wrap": ITEMS,
}
"""Every case of the corpus whose outcome differs, and why. docs/reference/mapping.md has the same by class."""


def cases(name: str) -> list[dict[str, Any]]:
    with gzip.open(CORPUS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def same(ours: Any, theirs: Any) -> bool:
    """Equal as JSON: 1 and 1.0 are, 1 and true are not."""
    if isinstance(ours, bool) or isinstance(theirs, bool):
        return ours is theirs
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list) and isinstance(theirs, list):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return ours == theirs


def plain(entities: Sequence[Entity]) -> list[Any]:
    return [json.loads(entity.to_json()) for entity in entities]


def same_entities(mapped: Mapped, expected: dict[str, Any]) -> bool:
    return same(plain(mapped.passed), expected["passed"]) and same(plain(mapped.failed), expected["failed"])


def configs_of(mappings: Sequence[Any]) -> tuple[ResourceConfig, ...]:
    return parse_mapping({"resources": list(mappings)}).configs


def pattern_mapping(patterns: dict[str, str]) -> dict[str, Any]:
    mappings = {"identifier": '"id"', "blueprint": '"bp"', "properties": patterns}
    return {"kind": "k", "selector": {"query": "true"}, "port": {"entity": {"mappings": mappings}}}


def selector_mapping(selector: str) -> dict[str, Any]:
    return pattern_mapping({}) | {"selector": {"query": selector}}


def map_all(pairs: Sequence[tuple[Any, Any]]) -> list[Mapped]:
    """Map each (mapping, item), with one mapper for all of them."""
    distinct = {json.dumps(mapping): mapping for mapping, _ in pairs}
    configs = dict(zip(distinct, configs_of(list(distinct.values())), strict=True))

    async def run() -> list[Mapped]:
        mapper = JqMapper(list(configs.values()))
        try:
            calls = (mapper.map(configs[json.dumps(mapping)], [item]) for mapping, item in pairs)
            return await asyncio.gather(*calls)
        finally:
            await mapper.close()

    return asyncio.run(run())


async def plan_live(case: dict[str, Any]) -> tuple[list[Entity], Plan]:
    """What a live event's results come to: all upserts in order, and the plan."""
    upserts: list[Entity] = []
    exits: list[Entity] = []
    deleted: list[Entity] = []
    for result in case["results"]:
        (config,) = configs_of([result["mapping"]])
        mapper = JqMapper([config])
        try:
            updated = await mapper.map(config, result.get("updated", []))
            gone = await mapper.map(config, result.get("deleted", []), select=False)
        finally:
            await mapper.close()
        upserts += updated.passed
        exits += updated.failed
        deleted += gone.passed
    proposal = Proposal(tuple(upserts), tuple(exits), tuple(deleted))
    return upserts, make_plan(proposal, Staged(), newest_seq=1)


def same_plan(upserts: list[Entity], plan: Plan, expected: dict[str, Any]) -> bool:
    if "upsert" not in expected:
        return False  # they raised
    deletes = {(write.ref.blueprint, write.ref.identifier) for write in plan.deletes}
    wanted = {Entity(each["identifier"], each["blueprint"]).ref for each in expected["delete_candidates"]}
    return same(plain(upserts), expected["upsert"]) and deletes == wanted


def test_every_pair_gives_the_expected_entities() -> None:
    pairs = cases("pairs")
    mapped = map_all([(case["mapping"], case["item"]) for case in pairs])
    wrong = {
        case["id"]
        for case, outcome in zip(pairs, mapped, strict=True)
        if not same_entities(outcome, case["expected"])
    }
    assert wrong == set()


def test_every_live_event_gives_the_expected_plan() -> None:
    async def run() -> set[str]:
        outcomes = [(case, await plan_live(case)) for case in cases("live")]
        return {
            case["id"] for case, (upserts, plan) in outcomes if not same_plan(upserts, plan, case["expected"])
        }

    assert asyncio.run(run()) == set()


def edge_differences() -> Iterator[str]:
    edges = cases("edges")
    patterns = [case for case in edges if "pattern" in case]
    for data in {json.dumps(case["data"]) for case in patterns}:
        group = {case["id"]: case for case in patterns if json.dumps(case["data"]) == data}
        mapping = pattern_mapping({name: case["pattern"] for name, case in group.items()})
        (mapped,) = map_all([(mapping, json.loads(data))])
        values = plain(mapped.passed)[0]["properties"]
        warned = {warning.field.removeprefix("properties.") for warning in mapped.warnings}
        for name, case in group.items():
            expected = case["expected"]
            failed = bool(expected["search_failures"])
            if not same(values[name], expected["value"]) or (name in warned) != failed:
                yield name
    selectors = [case for case in edges if "selector" in case]
    outcomes = map_all([(selector_mapping(case["selector"]), case["data"]) for case in selectors])
    for case, mapped in zip(selectors, outcomes, strict=True):
        value = True if mapped.passed else False if mapped.failed else None
        if value is not case["expected"]["value"]:
            yield case["id"]
    yield from mapping_differences([case for case in edges if "mapping" in case])
    for case in (case for case in edges if "results" in case):
        if not same_plan(*asyncio.run(plan_live(case)), case["expected"]):
            yield case["id"]


def mapping_differences(edges: Sequence[dict[str, Any]]) -> Iterator[str]:
    accepted: list[dict[str, Any]] = []
    for case in edges:
        try:
            configs_of([case["mapping"]])
        except ConfigurationError:
            if case["expected"]["ok"]:
                yield case["id"]
        else:
            accepted.append(case)
            if not case["expected"]["ok"]:
                yield case["id"]
    outcomes = map_all([(case["mapping"], case["item"]) for case in accepted])
    for case, mapped in zip(accepted, outcomes, strict=True):
        if case["expected"]["ok"] and not same_entities(mapped, case["expected"]):
            yield case["id"]


def test_edge_cases_differ_only_where_it_is_written_down() -> None:
    assert sorted(edge_differences()) == sorted(DEVIATIONS)


def test_every_class_of_deviation_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "mapping.md").read_text(encoding="utf-8")
    assert [reason for reason in sorted(set(DEVIATIONS.values())) if reason not in page] == []
