"""Raw items to entities: the EntityMapper that evaluates what is plain in Python and the rest in bounded JQ."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple

import msgspec

from tidegate.core.entities import Entity
from tidegate.core.errors import ConfigurationError
from tidegate.core.ports import Mapped, MappingWarning
from tidegate.core.resources import RawItem, ResourceConfig
from tidegate.mapping.fields import Document, JqFields, Lanes
from tidegate.mapping.process import MapperLimits
from tidegate.mapping.recipe import Outcome, Reading, Recipe
from tidegate.mapping.unfolding import FIELD, Unfolded, Unfolding
from tidegate.mapping.values import NotJsonError, encode

_BATCH_ITEMS = 32
_BATCH_BYTES = 1 << 20
_BY_ITEM = attrgetter("item")
DEFAULT_LIMITS = MapperLimits()


class MappingProblem(NamedTuple):
    """What is wrong with a mapping before any item comes. `field` is named as in mapping warnings."""

    config: ResourceConfig
    field: str
    expression: str
    reason: str

    def __str__(self) -> str:
        return f"{self.config.id}: {self.field}: {self.reason} (in {self.expression})"


class _Group(msgspec.Struct, frozen=True):
    """Items that share the document which JQ would need of them: one item, or what one was unfolded into."""

    number: int
    items: Sequence[RawItem]
    unfolded: Unfolded | None = None

    def document(self) -> Document:
        """Raises NotJsonError."""
        return Document(encode(self.items[0])) if self.unfolded is None else self.unfolded.document()


class _Waiting(NamedTuple):
    """An item that JQ is asked about: its number, its place among the outcomes, what Python read of it."""

    number: int
    place: int
    reading: Reading


@dataclass(slots=True)
class _Asked:
    """Items of which JQ is asked the same, and the documents that hold them."""

    waiting: list[_Waiting] = field(default_factory=list[_Waiting])
    documents: list[Document] = field(default_factory=list[Document])
    size: int = 0

    @property
    def full(self) -> bool:
        return len(self.waiting) >= _BATCH_ITEMS or self.size >= _BATCH_BYTES


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


class _Call(msgspec.Struct):
    """One call of `map`: items that Python can evaluate are done at once, the others wait for a batch to fill."""

    recipe: Recipe
    jq: JqFields
    select: bool
    outcomes: list[Outcome] = []
    """In the items' order. None while JQ is asked."""
    warnings: list[MappingWarning] = []
    unreadable: int = 0
    asked: dict[tuple[int, ...], _Asked] = {}

    async def take(self, group: _Group) -> None:
        readings: list[Reading] = []
        doubt = False
        for item in group.items:
            reading = self.recipe.read(item)
            readings.append(reading)
            doubt = doubt or reading.doubt  # they share a document, and so a program
        wanted = self.recipe.jq_wanted(self.select, doubt)
        if wanted:
            await self._put_off(group, readings, wanted)
            return
        for reading in readings:
            self.outcomes.append(self._outcome(group.number, reading))
        if len(self.outcomes) % _BATCH_ITEMS == 0:
            await asyncio.sleep(0)  # others get their turn

    async def _put_off(self, group: _Group, readings: Sequence[Reading], wanted: tuple[int, ...]) -> None:
        """Leave a group's items to JQ, which is asked once there are enough of them."""
        try:
            document = group.document()
        except NotJsonError as error:
            self.not_json(group.number, error)
            return
        asked = self.asked.setdefault(wanted, _Asked())
        asked.documents.append(document)
        asked.size += len(document.text)
        for reading in readings:
            asked.waiting.append(_Waiting(group.number, len(self.outcomes), reading))
            self.outcomes.append(None)
        if asked.full:
            await self._ask(wanted, self.asked.pop(wanted))

    async def _ask(self, wanted: tuple[int, ...], asked: _Asked) -> None:
        """Have JQ evaluate what is left of some items."""
        rows = await self.jq.rows(asked.documents, wanted)
        for (number, place, reading), cells in zip(asked.waiting, rows, strict=True):
            self.recipe.add(reading, wanted, cells)
            self.outcomes[place] = self._outcome(number, reading)

    def _outcome(self, number: int, reading: Reading) -> Outcome:
        return self.recipe.finish(number, reading, self.warnings, select=self.select)

    def not_json(self, number: int, error: NotJsonError) -> None:
        self.unreadable += 1
        self.warnings.append(MappingWarning(number, "item", ".", f"{error}: the item is skipped"))

    async def end(self) -> Mapped:
        for wanted, asked in self.asked.items():
            await self._ask(wanted, asked)
        passed: list[Entity] = []
        failed: list[Entity] = []
        skipped = self.unreadable
        for outcome in self.outcomes:
            if outcome is None:
                skipped += 1
            else:
                selected, entity = outcome
                (passed if selected else failed).append(entity)
        self.warnings.sort(key=_BY_ITEM)
        return Mapped(tuple(passed), tuple(failed), tuple(self.warnings), skipped)


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
        call = _Call(prepared.recipe, prepared.jq, select)
        if prepared.unfolding is None:
            for number, item in enumerate(items):
                await call.take(_Group(number, (item,)))
        else:
            async for group in _unfolded(prepared.unfolding, items, call):
                await call.take(group)
        return await call.end()

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


async def _unfolded(unfolding: Unfolding, items: Sequence[RawItem], call: _Call) -> AsyncIterator[_Group]:
    """What the items are unfolded into; what cannot be unfolded is counted as skipped and warned of."""
    for number, item in enumerate(items):
        try:
            unfolded = await unfolding.unfold(number, item, call.warnings)
        except NotJsonError as error:
            call.not_json(number, error)
            continue
        if unfolded is None:
            call.unreadable += 1
            continue
        for part in unfolded.parts():
            yield _Group(number, list(part.items()), part)
