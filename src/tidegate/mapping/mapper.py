"""Raw items to entities: the EntityMapper that evaluates what is plain in Python and the rest in bounded JQ."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Mapped, MappingWarning
from tidegate.core.resources import RawItem, ResourceConfig
from tidegate.mapping.fields import Cell, Document, JqFields, Lanes
from tidegate.mapping.process import MapperLimits
from tidegate.mapping.recipe import Recipe, Skipped
from tidegate.mapping.unfolding import FIELD, Unfolding
from tidegate.mapping.values import NotJsonError, encode

_BATCH_ITEMS = 32
_BATCH_BYTES = 1 << 20
DEFAULT_LIMITS = MapperLimits()


class MappingProblem(NamedTuple):
    """What is wrong with a mapping before any item comes. `field` is named as in mapping warnings."""

    config: ResourceConfig
    field: str
    expression: str
    reason: str

    def __str__(self) -> str:
        return f"{self.config.id}: {self.field}: {self.reason} (in {self.expression})"


@dataclass(slots=True)
class _Batch:
    """Items that are evaluated together. Items and the rows of the documents agree in order."""

    items: list[tuple[int, RawItem]] = field(default_factory=list[tuple[int, RawItem]])
    documents: list[Document] = field(default_factory=list[Document])
    size: int = 0

    def add(self, items: Sequence[tuple[int, RawItem]], document: Document | None) -> None:
        self.items.extend(items)
        if document is not None:
            self.documents.append(document)
            self.size += len(document.text)

    @property
    def full(self) -> bool:
        return len(self.items) >= _BATCH_ITEMS or self.size >= _BATCH_BYTES


@dataclass(slots=True)
class _Tally:
    """What came of a call so far."""

    passed: list[Entity] = field(default_factory=list[Entity])
    failed: list[Entity] = field(default_factory=list[Entity])
    warnings: list[MappingWarning] = field(default_factory=list[MappingWarning])
    skipped: int = 0

    def mapped(self) -> Mapped:
        warnings = sorted(self.warnings, key=lambda warning: warning.item)
        return Mapped(tuple(self.passed), tuple(self.failed), tuple(warnings), self.skipped)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A resource config, ready to map."""

    recipe: Recipe
    jq: JqFields
    unfolding: Unfolding | None

    @classmethod
    def of(cls, config: ResourceConfig, lanes: Lanes) -> "_Prepared":
        recipe, port = Recipe(config), config.port
        if not port.items_to_parse:
            return cls(recipe, JqFields(recipe.jq, lanes), None)
        unfolding = Unfolding(port.items_to_parse, port, lanes)
        return cls(recipe, JqFields(recipe.jq, lanes, port.items_to_parse_name), unfolding)


class JqMapper:
    """Maps the items of the given resource configs (`EntityMapper`).

    No process is started for configs of constants and plain paths. Close it when done.
    """

    def __init__(self, configs: Sequence[ResourceConfig], limits: MapperLimits = DEFAULT_LIMITS) -> None:
        self._configs = tuple(configs)
        self._lanes = Lanes.open(limits)
        self._prepared = {config.id: _Prepared.of(config, self._lanes) for config in self._configs}

    @property
    def configs(self) -> Sequence[ResourceConfig]:
        return self._configs

    async def close(self) -> None:
        """End the worker processes. Calls that still wait raise MapperUnavailableError."""
        await self._lanes.close()

    async def map(self, config: ResourceConfig, items: Sequence[RawItem], *, select: bool = True) -> Mapped:
        """Map items (see EntityMapper). Raises MapperUnavailableError; ConfigurationError for a foreign config."""
        prepared = self._prepared.get(config.id)
        if prepared is None:
            known = ", ".join(self._prepared) or "none"
            raise ConfigurationError(f"the mapping has no entry {config.id}; it has {known}")
        tally = _Tally()
        wanted = prepared.recipe.jq_wanted(select)
        async for batch in _batches(prepared, items, wanted, tally):
            rows: Sequence[Sequence[Cell]] = [()] * len(batch.items)
            if wanted:
                rows = await prepared.jq.rows(batch.documents, wanted)
            else:
                await asyncio.sleep(0)  # others get their turn between batches
            for (number, item), cells in zip(batch.items, rows, strict=True):
                match prepared.recipe.apply(number, item, cells, tally.warnings, select=select):
                    case Skipped():
                        tally.skipped += 1
                    case (selected, entity):
                        (tally.passed if selected else tally.failed).append(entity)
        return tally.mapped()

    async def problems(self) -> list[MappingProblem]:
        """Compile every expression: which do not compile, and why. Raises MapperUnavailableError."""
        found: list[MappingProblem] = []
        for config in self._configs:
            prepared = self._prepared[config.id]
            if prepared.unfolding is not None:
                problem = (await prepared.unfolding.jq.problems()).get(0)
                if problem is not None:
                    text = config.port.items_to_parse or ""
                    found.append(MappingProblem(config, FIELD, text, problem))
            for index, problem in sorted((await prepared.jq.problems()).items()):
                slot = prepared.recipe.jq_slot(index)
                found.append(MappingProblem(config, slot.field, slot.text, problem))
        return found


async def _batches(
    prepared: _Prepared, items: Sequence[RawItem], wanted: tuple[int, ...], tally: _Tally
) -> AsyncIterator[_Batch]:
    """Cut the work into pieces; what cannot be mapped at all is counted as skipped and warned of."""
    batch = _Batch()
    async for group, document in _groups(prepared, items, wanted, tally):
        batch.add(group, document)
        if batch.full:
            yield batch
            batch = _Batch()
    if batch.items:
        yield batch


async def _groups(
    prepared: _Prepared, items: Sequence[RawItem], wanted: tuple[int, ...], tally: _Tally
) -> AsyncIterator[tuple[Sequence[tuple[int, RawItem]], Document | None]]:
    """Items with the document that JQ needs of them: one for each, or one for several unfolded ones."""
    for number, item in enumerate(items):
        try:
            if prepared.unfolding is None:
                yield ((number, item),), Document(encode(item)) if wanted else None
                continue
            unfolded = await prepared.unfolding.unfold(number, item, tally.warnings)
            if unfolded is None:
                tally.skipped += 1
                continue
            for part in unfolded.parts():
                yield tuple(part.items()), part.document() if wanted else None
        except NotJsonError as error:
            tally.skipped += 1
            reason = f"{error}: the item is skipped"
            tally.warnings.append(MappingWarning(number, "item", ".", reason))
