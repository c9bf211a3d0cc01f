"""Raw items to entities: the EntityMapper that evaluates what is plain in Python and the rest in bounded JQ."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias

from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Mapped, MappingWarning
from tidegate.core.resources import RawItem, ResourceConfig
from tidegate.mapping.fields import Cell, Document, JqFields, Lanes
from tidegate.mapping.process import MapperLimits
from tidegate.mapping.recipe import Outcome, Reading, Recipe, Skipped
from tidegate.mapping.unfolding import FIELD, Unfolded, Unfolding
from tidegate.mapping.values import NotJsonError, encode

_BATCH_ITEMS = 32
_BATCH_BYTES = 1 << 20
DEFAULT_LIMITS = MapperLimits()
_Place: TypeAlias = tuple[int, int]
"""An item's number, and its place among all items after unfolding."""


class MappingProblem(NamedTuple):
    """What is wrong with a mapping before any item comes. `field` is named as in mapping warnings."""

    config: ResourceConfig
    field: str
    expression: str
    reason: str

    def __str__(self) -> str:
        return f"{self.config.id}: {self.field}: {self.reason} (in {self.expression})"


@dataclass(frozen=True, slots=True)
class _Group:
    """Items that share the document which JQ would need of them: one item, or what one was unfolded into."""

    number: int
    items: Sequence[RawItem]
    unfolded: Unfolded | None = None

    def document(self) -> Document:
        """Raises NotJsonError."""
        return Document(encode(self.items[0])) if self.unfolded is None else self.unfolded.document()


@dataclass(slots=True)
class _Asked:
    """Items of which JQ is asked the same: their places, what Python read of them, and their documents."""

    wanted: tuple[int, ...]
    places: list[_Place] = field(default_factory=list[_Place])
    readings: list[Reading] = field(default_factory=list[Reading])
    documents: list[Document] = field(default_factory=list[Document])
    size: int = 0

    def add(self, places: Sequence[_Place], readings: Sequence[Reading], document: Document) -> None:
        self.places.extend(places)
        self.readings.extend(readings)
        self.documents.append(document)
        self.size += len(document.text)

    @property
    def full(self) -> bool:
        return len(self.readings) >= _BATCH_ITEMS or self.size >= _BATCH_BYTES


@dataclass(slots=True)
class _Tally:
    """What came of a call so far."""

    entities: dict[_Place, tuple[bool, Entity]] = field(default_factory=dict[_Place, tuple[bool, Entity]])
    warnings: list[MappingWarning] = field(default_factory=list[MappingWarning])
    skipped: int = 0

    def add(self, place: _Place, outcome: Outcome) -> None:
        if isinstance(outcome, Skipped):
            self.skipped += 1
        else:
            self.entities[place] = outcome

    def not_json(self, number: int, error: NotJsonError) -> None:
        self.skipped += 1
        self.warnings.append(MappingWarning(number, "item", ".", f"{error}: the item is skipped"))

    def mapped(self) -> Mapped:
        ordered = [self.entities[place] for place in sorted(self.entities)]
        passed = tuple(entity for selected, entity in ordered if selected)
        failed = tuple(entity for selected, entity in ordered if not selected)
        warnings = sorted(self.warnings, key=lambda warning: warning.item)
        return Mapped(passed, failed, tuple(warnings), self.skipped)


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


@dataclass(slots=True)
class _Mapping:
    """One call of `map`: items that Python can evaluate are done at once, the others wait for a batch to fill."""

    prepared: _Prepared
    select: bool
    tally: _Tally = field(default_factory=_Tally)
    _asked: dict[tuple[int, ...], _Asked] = field(default_factory=dict[tuple[int, ...], _Asked])
    _seen: int = 0

    async def take(self, group: _Group) -> None:
        recipe = self.prepared.recipe
        readings = [recipe.read(item) for item in group.items]
        if any(reading.doubt for reading in readings):
            for reading in readings:  # they share a document, and so a program
                reading.doubt = True
        places = [(group.number, self._seen + index) for index in range(len(readings))]
        self._seen += len(readings)
        wanted = recipe.jq_wanted(self.select, readings[0].doubt) if readings else ()
        if not wanted:
            for place, reading in zip(places, readings, strict=True):
                self._finish(place, reading, ())
            if self._seen % _BATCH_ITEMS == 0:
                await asyncio.sleep(0)  # others get their turn
            return
        asked = self._asked.setdefault(wanted, _Asked(wanted))
        try:
            asked.add(places, readings, group.document())
        except NotJsonError as error:
            self.tally.not_json(group.number, error)
        if asked.full:
            await self._ask(self._asked.pop(wanted))

    async def end(self) -> Mapped:
        for asked in self._asked.values():
            if asked.documents:
                await self._ask(asked)
        return self.tally.mapped()

    async def _ask(self, asked: _Asked) -> None:
        """Have JQ evaluate what is left of some items."""
        rows = await self.prepared.jq.rows(asked.documents, asked.wanted)
        for place, reading, cells in zip(asked.places, asked.readings, rows, strict=True):
            self._finish(place, reading, cells)

    def _finish(self, place: _Place, reading: Reading, cells: Sequence[Cell]) -> None:
        recipe = self.prepared.recipe
        self.tally.add(
            place, recipe.finish(place[0], reading, cells, self.tally.warnings, select=self.select)
        )


class JqMapper:
    """Maps the items of the given resource configs (`EntityMapper`).

    No process is started while Python can evaluate everything. Close it when done.
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
        mapping = _Mapping(prepared, select)
        async for group in _groups(prepared, items, mapping.tally):
            await mapping.take(group)
        return await mapping.end()

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


async def _groups(prepared: _Prepared, items: Sequence[RawItem], tally: _Tally) -> AsyncIterator[_Group]:
    """The items, unfolded if need be; what cannot be mapped at all is counted as skipped and warned of."""
    for number, item in enumerate(items):
        if prepared.unfolding is None:
            yield _Group(number, (item,))
            continue
        try:
            unfolded = await prepared.unfolding.unfold(number, item, tally.warnings)
        except NotJsonError as error:
            tally.not_json(number, error)
            continue
        if unfolded is None:
            tally.skipped += 1
            continue
        for part in unfolded.parts():
            yield _Group(number, list(part.items()), part)
