"""Previews of mappings foretell what deploying them does, and write nothing."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
import pytest

from tests.pipeline.issues import MAPPING, IssueProcessor, KeyedIssueProcessor, MakeIntegration, issue
from tidegate import EventPayload, ResourceConfig, WebhookEventRawResults
from tidegate.app.clock import SystemClock, new_id
from tidegate.app.previews import open_dry_runs
from tidegate.core.differences import FieldFate
from tidegate.core.entities import Entity, EntityRef
from tidegate.core.errors import ConfigurationError, NotFoundError
from tidegate.core.events import Json
from tidegate.core.inspection import EventFilter, Page
from tidegate.core.ports import Upsert
from tidegate.core.previews import EntityFate
from tidegate.core.resources import TargetOptions
from tidegate.engines.memory import MemoryEngine
from tidegate.mapping import MapperLimits
from tidegate.pipeline.dry_runs import DryRuns
from tidegate.pipeline.processing import RunLimits
from tidegate.pipeline.replaying import replay
from tidegate.targets.catalog import CatalogTarget
from tidegate.testing.clock import FakeClock
from tidegate.testing.harness import Harness, harness
from tidegate.testing.memory_target import MemoryTarget

LOUDER = MAPPING.replace("title: .title", "title: .title + '!'").replace("'!'", '"!"')
ONE_CONFIG = """
kind: issue
selector: {query: .selected}
port:
  entity:
    mappings:
      identifier: .key
      blueprint: '"issue"'
      title: .title
      properties: {state: .state, number: .id}
"""


def dry_runs(engine: MemoryEngine) -> DryRuns:
    return open_dry_runs(engine, MapperLimits(), None, SystemClock())


def after(
    make_integration: MakeIntegration,
    payloads: list[EventPayload],
    check: Callable[[DryRuns, Harness], Awaitable[None]],
    processor: type[IssueProcessor] = KeyedIssueProcessor,
    limits: RunLimits | None = None,
) -> None:
    """Process payloads one after the other with the usual mapping, then check."""

    async def scenario() -> None:
        async with harness(make_integration(processor), limits=limits) as running:
            for payload in payloads:
                await running.deliver("/webhook", payload)
                await running.settle()
            before = dict(running.entities)
            await check(dry_runs(running.engine), running)
            assert running.entities == before

    asyncio.run(scenario())


def state(entities: dict[EntityRef, Json]) -> dict[str, Json]:
    return {str(ref): entity for ref, entity in entities.items()}


NEW_MAPPINGS = {
    "the same": MAPPING,
    "another title": LOUDER,
    "another selector": MAPPING.replace(".selected", '.state == "open"'),
    "no selector": MAPPING.replace(".selected", '"true"'),
    "other names": MAPPING.replace("identifier: .key", 'identifier: .key + "-x"'),
    "another blueprint": MAPPING.replace("'\"issue\"'", "'\"ticket\"'"),
    "a field more": MAPPING.replace("state: .state", "state: .state, id: .id"),
    "one entry more": MAPPING + MAPPING.partition("resources:\n")[2].replace("'\"issue\"'", "'\"copy\"'"),
    "a broken name": MAPPING.replace("identifier: .key", "identifier: .nothing"),
}


@pytest.mark.parametrize("name", NEW_MAPPINGS)
def test_a_dry_run_foretells_what_deploying_does(make_integration: MakeIntegration, name: str) -> None:
    async def scenario() -> None:
        engine, target = MemoryEngine(SystemClock()), MemoryTarget()
        async with harness(make_integration(KeyedIssueProcessor), engine=engine, target=target) as running:
            for payload in (
                issue(1, "A"),
                issue(2, "B"),
                issue(1, "A2"),
                issue(3, "C", "closed"),
                issue(4, "D", selected=False),
                issue(2, "B", "closed"),
            ):
                await running.deliver("/webhook", payload)
                await running.settle()
            before = {ref: msgspec.to_builtins(entity) for ref, entity in running.entities.items()}
            foretold = await dry_runs(engine).deploy(NEW_MAPPINGS[name])
            newest = await engine.find_events(EventFilter(), Page(limit=100))
        integration = make_integration(KeyedIssueProcessor, mapping=NEW_MAPPINGS[name])
        engine = engine.crash()
        async with harness(integration, engine=engine, target=target) as running:
            for event in reversed(newest):
                await replay(engine, event.id, SystemClock(), new_id)
                await running.settle()
            now = {ref: msgspec.to_builtins(entity) for ref, entity in running.entities.items()}
        assert foretold.created == len(now.keys() - before.keys())
        assert foretold.deleted == len(before.keys() - now.keys())
        both = before.keys() & now.keys()
        changed = {ref for ref in both if before[ref] != now[ref]}
        assert foretold.changed == len(changed)
        assert {entity.ref for entity in foretold.entities} == changed | (before.keys() ^ now.keys())
        assert foretold.differs is bool(changed or before.keys() ^ now.keys())

    asyncio.run(scenario())


def test_a_dry_run_counts_fields_warnings_and_items(make_integration: MakeIntegration) -> None:
    progress: list[tuple[int, int]] = []

    async def check(runs: DryRuns, _: Harness) -> None:
        text = LOUDER.replace("state: .state", "state: .state.deep, id: .id")
        found = await runs.deploy(text, progress=lambda done, total: progress.append((done, total)))
        assert (found.runs, found.items, found.unrecorded, found.cut_short) == (40, 40, 0, False)
        assert {(each.field, each.count) for each in found.fields} == {
            ("title", 40),
            ("properties.state", 40),
            ("properties.id", 40),
        }
        [warning] = found.warnings
        assert (warning.config, warning.field, warning.count) == ("issue", "properties.state", 40)
        assert "properties.state" in warning.example
        assert found.warned == 40
        assert (await runs.deploy(text, last=7)).runs == 7

    after(make_integration, [issue(number, f"K{number}") for number in range(40)], check)
    assert progress == [(32, 40), (40, 40)]


def test_each_resource_counts_once_by_its_newest_items(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, _: Harness) -> None:
        found = await runs.deploy(MAPPING)
        assert (found.runs, found.unchanged, found.differs) == (1, 1, False)

    after(make_integration, [issue(1, "A", f"state {number}") for number in range(5)], check)


def test_without_resource_keys_the_newest_item_of_an_entity_counts(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, _: Harness) -> None:
        found = await runs.deploy(MAPPING)
        assert (found.runs, found.unchanged, found.differs) == (5, 1, False)

    payloads = [issue(1, "A", f"state {number}") for number in range(5)]
    after(make_integration, payloads, check, IssueProcessor)


def test_a_dry_run_ends_in_time_and_says_so(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, running: Harness) -> None:
        clock = FakeClock()
        late = DryRuns(runs.previews, clock)
        found = await late.deploy(MAPPING, seconds=1, progress=lambda _, __: clock.advance(1))
        assert (found.runs, found.cut_short) == (32, True)

    after(make_integration, [issue(number, f"K{number}") for number in range(40)], check)


def test_items_that_were_too_large_are_counted(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, running: Harness) -> None:
        found = await runs.deploy(MAPPING)
        assert (found.runs, found.unrecorded) == (0, 1)
        [event] = await running.engine.find_events(EventFilter(), Page())
        with pytest.raises(NotFoundError, match="no fetched items are kept"):
            await runs.previews.of_event(MAPPING, event.id)

    after(make_integration, [issue(1, "A" * 200)], check, limits=RunLimits(recorded_bytes=100))


def test_entries_that_are_gone_are_named(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, _: Harness) -> None:
        found = await runs.deploy(MAPPING.replace("kind: issue", "kind: other"))
        assert (found.gone, found.created, found.deleted, found.differs) == (("issue",), 0, 0, True)

    after(make_integration, [issue()], check)


def test_an_event_is_previewed_field_by_field(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, running: Harness) -> None:
        [event] = await running.engine.find_events(EventFilter(), Page())
        for text in (ONE_CONFIG, f"resources:\n  - {ONE_CONFIG.strip().replace(chr(10), chr(10) + '    ')}"):
            [preview] = await runs.previews.of_event(text, event.id)
            assert (preview.kind, preview.configs, preview.event_id) == ("issue", ("issue",), event.id)
            [entity] = preview.entities
            assert (entity.ref, entity.fate) == (EntityRef("issue", "A"), EntityFate.CHANGED)
            [change] = entity.changes
            assert (change.field, change.fate, change.after) == ("properties.number", FieldFate.ADDED, 1)
            assert entity.document is not None
            assert entity.document["properties"] == {"state": "open", "number": 1}

    after(make_integration, [issue()], check)


def test_a_field_that_is_not_sent_any_more_is_told_from_a_null(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, running: Harness) -> None:
        run_id = (
            (await running.engine.event((await running.engine.find_events(EventFilter(), Page()))[0].id))
            .runs[0]
            .id
        )
        dropped = ONE_CONFIG.replace("{state: .state, number: .id}", "{}")
        [entity] = (await runs.previews.of_run(dropped, run_id)).entities
        assert [(change.field, change.fate) for change in entity.changes] == [
            ("properties.state", FieldFate.DROPPED)
        ]
        null = ONE_CONFIG.replace("{state: .state, number: .id}", "{state: .nothing}")
        [entity] = (await runs.previews.of_run(null, run_id)).entities
        assert [(change.field, change.fate, change.after) for change in entity.changes] == [
            ("properties.state", FieldFate.CHANGED, None)
        ]

    after(make_integration, [issue()], check)


def test_typed_items_are_previewed_against_what_was_written(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, _: Harness) -> None:
        items = [issue(1, "A")["issue"], issue(9, "New")["issue"], {"selected": True}]
        preview = await runs.previews.of_items(MAPPING, "issue", items)
        assert [(str(each.ref), each.fate) for each in preview.entities] == [
            ("issue/A", EntityFate.UNCHANGED),
            ("issue/New", EntityFate.CREATED),
        ]
        assert preview.skipped == 1
        assert preview.warnings

    after(make_integration, [issue()], check)


def test_a_wrong_mapping_is_refused_with_its_line(make_integration: MakeIntegration) -> None:
    async def check(runs: DryRuns, _: Harness) -> None:
        with pytest.raises(ConfigurationError, match=r"line 3: resources\[0\].selektor"):
            await runs.deploy(MAPPING.replace("selector", "selektor").lstrip("\n"))
        with pytest.raises(ConfigurationError, match=r"line 4: resources\[0\].port.entity"):
            await runs.deploy(ONE_CONFIG.replace("entity:", "entiti:"))
        with pytest.raises(ConfigurationError, match="no YAML"):
            await runs.deploy("a: [")
        with pytest.raises(ConfigurationError, match="no entry other; it has issue"):
            await runs.previews.of_items(MAPPING, "other", [])

    after(make_integration, [issue()], check)


def test_what_a_processor_says_is_deleted_is_no_difference(make_integration: MakeIntegration) -> None:
    class Deleting(KeyedIssueProcessor):
        async def handle_event(
            self, payload: EventPayload, resource_config: ResourceConfig
        ) -> WebhookEventRawResults:
            if payload["issue"]["state"] == "deleted":
                return WebhookEventRawResults([], [payload["issue"]])
            return await super().handle_event(payload, resource_config)

    async def check(runs: DryRuns, running: Harness) -> None:
        assert not running.entities
        assert not (await runs.deploy(MAPPING)).differs

    after(make_integration, [issue(), issue(state="deleted")], check, Deleting)


def test_what_the_journal_forgot_is_compared_with_the_catalog(
    make_integration: MakeIntegration, tmp_path: Path
) -> None:
    async def check(_: DryRuns, running: Harness) -> None:
        clock = SystemClock()
        catalog = CatalogTarget.open(
            tmp_path / "catalog.db", integration_identifier="tests", options=TargetOptions(), clock=clock
        )
        blueprint = {
            "identifier": "issue",
            "schema": {"properties": {"state": {"type": "string"}, "more": {"type": "string"}}},
        }
        await catalog.prepare([blueprint], None)
        held = Entity("B", "issue", title="Issue B", properties={"state": "closed", "more": "of others"})
        await catalog.apply([Upsert(held, 1)])
        runs = open_dry_runs(running.engine, MapperLimits(), catalog, clock)
        preview = await runs.previews.of_items(MAPPING, "issue", [issue(2, "B")["issue"]])
        await catalog.close()
        [entity] = preview.entities
        assert [(change.field, change.before, change.after) for change in entity.changes] == [
            ("properties.state", "closed", "open")
        ]

    after(make_integration, [issue()], check)
