"""What would change if a mapping were deployed: a dry run over the newest recorded items of each resource."""

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tidegate.core.causes import cause_of
from tidegate.core.entities import EntityRef
from tidegate.core.inspection import Page, RunDetail, RunFilter, RunRecord
from tidegate.core.lifecycle import RunState
from tidegate.core.ports import Clock, EngineOperations, EntityMapper
from tidegate.core.previews import (
    DryRun,
    EntityFate,
    EntityPreview,
    FieldCount,
    ItemsPreview,
    WarningCount,
)
from tidegate.core.resources import MappingText, ResourceConfig
from tidegate.core.runs import ROUTING_CONFIG
from tidegate.pipeline.previewing import Previews, RecordedItems, recorded_items

SHOWN_ENTITIES = 100
MAX_COUNTS = 200
"""How many fields and warnings are told apart."""

_PAGE = 200
_TOGETHER = 32
_LOOKED_AT = 20
"""At most so many times the wanted number of runs are looked at: most may belong to a few resources."""

Progress = Callable[[int, int], None]
"""Told how many runs are done, and of how many."""


def no_progress(done: int, total: int) -> None:
    """For who does not want to know."""


@dataclass(frozen=True, slots=True)
class DryRuns:
    """Makes dry runs, bounded in time and memory."""

    previews: Previews
    clock: Clock

    async def deploy(
        self, text: str, last: int = 500, seconds: float = 60.0, progress: Progress = no_progress
    ) -> DryRun:
        """Judge by up to `last` applied runs, the newest first and one for each resource.

        A text that is one resource config is judged by the runs of its kind alone. Stops after about so many
        seconds, and says so. Raises ConfigurationError.
        """
        mapping = self.previews.read(text)
        ends_at = self.clock.monotonic() + seconds
        runs = await _newest_runs(self.previews.engine, mapping, last)
        entries = _entries(mapping, runs)
        gone = {run.config for run in runs if not entries[run.config]} if mapping.whole else set[str]()
        findings = _Findings(gone=gone)
        wanted = [config for configs in entries.values() for config in configs]
        async with self.previews.open_mapper(wanted) as mapper:
            for start in range(0, len(runs), _TOGETHER):
                if self.clock.monotonic() >= ends_at:
                    findings.cut_short = True
                    break
                chunk = runs[start : start + _TOGETHER]
                await self._judge(mapper, chunk, entries, findings)
                progress(start + len(chunk), len(runs))
        return findings.summary()

    async def _judge(
        self,
        mapper: EntityMapper,
        runs: Sequence[RunRecord],
        entries: Mapping[str, Sequence[ResourceConfig]],
        findings: "_Findings",
    ) -> None:
        details = await asyncio.gather(*(self.previews.engine.run(run.id) for run in runs))
        judged: list[tuple[RunDetail, RecordedItems]] = []
        for run in details:
            items = recorded_items(run)
            if items is None:
                findings.unrecorded += 1
                continue
            findings.runs += 1
            findings.items += items.count
            if entries[run.record.config]:
                judged.append((run, items))
        for preview in await asyncio.gather(
            *(self.previews.preview(mapper, entries[run.record.config], items, run) for run, items in judged)
        ):
            findings.add(preview)


async def _newest_runs(engine: EngineOperations, mapping: MappingText, last: int) -> list[RunRecord]:
    """One applied run for each resource, the newest first; runs without a resource key stand for themselves."""
    where = RunFilter(state=RunState.APPLIED, kind=None if mapping.whole else mapping.configs[0].kind)
    found: list[RunRecord] = []
    seen: set[tuple[str, str, str]] = set()
    before: int | None = None
    for _ in range(0, last * _LOOKED_AT, _PAGE):
        page = await engine.find_runs(where, Page(_PAGE, before))
        for run in page:
            before = run.id
            resource = (run.processor, run.config, run.resource_key or f"run {run.id}")
            if run.config == ROUTING_CONFIG or resource in seen:
                continue
            seen.add(resource)
            found.append(run)
            if len(found) == last:
                return found
        if len(page) < _PAGE:
            break
    return found


def _entries(mapping: MappingText, runs: Sequence[RunRecord]) -> dict[str, tuple[ResourceConfig, ...]]:
    """Which entries judge the items of which deployed entry: its successor, and what is new of its kind.

    An entry that no run knows is new. It is judged by the items of its kind's first entry, since every event
    of a kind goes to all entries of it.
    """
    kinds = {run.config: run.kind for run in sorted(runs, key=lambda run: run.config)}
    entries = {config_id: mapping.entries_for(config_id, kind) for config_id, kind in kinds.items()}
    if mapping.whole:
        for config in mapping.configs:
            first = next((known for known, kind in kinds.items() if kind == config.kind), None)
            if config.id not in kinds and first is not None:
                entries[first] = (*entries[first], config)
    return entries


@dataclass(slots=True)
class _Findings:
    """What came out so far. Of one entity the newest run has the say, and an upsert outweighs a delete."""

    gone: set[str]
    runs: int = 0
    items: int = 0
    unrecorded: int = 0
    skipped: int = 0
    warned: int = 0
    cut_short: bool = False
    fates: dict[EntityRef, EntityFate] = field(default_factory=dict[EntityRef, EntityFate])
    shown: dict[EntityRef, EntityPreview] = field(default_factory=dict[EntityRef, EntityPreview])
    fields: Counter[tuple[str, str]] = field(default_factory=Counter[tuple[str, str]])
    warnings: dict[tuple[str, str, str], tuple[int, str]] = field(
        default_factory=dict[tuple[str, str, str], tuple[int, str]]
    )

    def add(self, preview: ItemsPreview) -> None:
        """Take up what came of a run's items."""
        self.skipped += preview.skipped
        self.warned += len(preview.warnings)
        for each in preview.warnings:
            key = (each.config, each.warning.field, cause_of(each.warning.reason))
            count, example = self.warnings.get(key, (0, f"run {preview.run_id}: {each.warning}"))
            if count or len(self.warnings) < MAX_COUNTS:
                self.warnings[key] = (count + 1, example)
        for entity in preview.entities:
            self._add_entity(entity)

    def _add_entity(self, entity: EntityPreview) -> None:
        known = self.fates.get(entity.ref)
        gone = (EntityFate.DELETED, EntityFate.ABSENT)
        if known is not None and (known not in gone or entity.fate in gone):
            return
        self.fates[entity.ref] = entity.fate
        self.shown.pop(entity.ref, None)
        for change in entity.changes:
            key = (entity.ref.blueprint, change.field)
            if key in self.fields or len(self.fields) < MAX_COUNTS:
                self.fields[key] += 1
        if entity.fate not in (EntityFate.UNCHANGED, EntityFate.ABSENT) and len(self.shown) < SHOWN_ENTITIES:
            self.shown[entity.ref] = entity

    def summary(self) -> DryRun:
        """All of it."""
        counts = Counter(self.fates.values())
        fields = self.fields.most_common()
        warnings = sorted(self.warnings.items(), key=lambda pair: -pair[1][0])
        return DryRun(
            runs=self.runs,
            items=self.items,
            unrecorded=self.unrecorded,
            created=counts[EntityFate.CREATED],
            changed=counts[EntityFate.CHANGED],
            unchanged=counts[EntityFate.UNCHANGED],
            deleted=counts[EntityFate.DELETED],
            skipped=self.skipped,
            warned=self.warned,
            fields=tuple(FieldCount(blueprint, name, count) for (blueprint, name), count in fields),
            warnings=tuple(WarningCount(*key, count, example) for key, (count, example) in warnings),
            gone=tuple(sorted(self.gone)),
            entities=tuple(self.shown.values()),
            cut_short=self.cut_short,
        )
