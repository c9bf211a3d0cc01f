"""The JQ expressions of one resource config, evaluated in one program as long as they behave.

An expression that is stopped concerns itself, this item and this config only: the config's items go through a
lane apart, one by one, until they behave again; there the expression is found, and evaluated alone.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import TypeAlias, cast

import msgspec

from tidegate.core.events import Json
from tidegate.mapping.compiling import choose_readings
from tidegate.mapping.expressions import JqExpression
from tidegate.mapping.lane import CompileError, Evaluation, Lane, Output, Program, Programs
from tidegate.mapping.process import MapperLimits, StoppedError
from tidegate.mapping.programs import row, unfolded_row
from tidegate.mapping.values import encode

Cell: TypeAlias = list[Json] | dict[str, str]
"""[first output], [] where there was none, or {"e": why it failed}."""

_CAREFUL_DOCUMENTS = 1000
_SLOW_FRACTION = 1 / 20
_LEAST_LIMIT_SECONDS = 0.05
_SUSPICION = 20


@dataclass(frozen=True, slots=True)
class Document:
    """What goes into a program: an item as JSON, or {"base": object, "elements": list}; and its rows' number."""

    text: bytes
    rows: int = 1

    def split(self) -> "list[Document]":
        """The same as documents of one row each."""
        if self.rows == 1:
            return [self]
        whole = msgspec.json.decode(self.text)
        return [unfolded_document(whole["base"], [element]) for element in whole["elements"]]


def unfolded_document(base: Mapping[str, Json], elements: Sequence[Json]) -> Document:
    """One document for several elements that share what they are merged into. Raises NotJsonError."""
    return Document(encode({"base": base, "elements": elements}), len(elements))


@dataclass(frozen=True, slots=True)
class Lanes:
    """Where programs are evaluated: `shared` by all configs, `apart` for those that do not behave."""

    shared: Lane
    apart: Lane
    programs: Programs
    limits: MapperLimits

    @classmethod
    def open(cls, limits: MapperLimits) -> "Lanes":
        return cls(Lane(limits, limits.workers), Lane(limits, 1, niceness=5), Programs(), limits)

    async def close(self) -> None:
        await self.shared.close()
        await self.apart.close()


@dataclass(slots=True)
class _State:
    """What is known of one expression.

    `text` is the reading that compiles, `problem` says why there is none. While `suspicion` lasts, after the
    expression was stopped, it is evaluated alone and for `limit_seconds` only.
    """

    text: str
    problem: str | None
    limit_seconds: float
    suspicion: int = 0

    def stopped(self) -> None:
        self.limit_seconds = max(self.limit_seconds / 2, min(_LEAST_LIMIT_SECONDS, self.limit_seconds))
        self.suspicion = _SUSPICION

    def succeeded(self, full_limit_seconds: float) -> None:
        self.limit_seconds = full_limit_seconds
        self.suspicion = max(self.suspicion - 1, 0)


@dataclass(slots=True)
class JqFields:
    """Evaluates expressions by their number. `name`: that of the unfolded element, if items are unfolded."""

    expressions: Sequence[JqExpression]
    lanes: Lanes
    name: str | None = None
    _states: list[_State] | None = None
    _preparing: asyncio.Lock = field(default_factory=asyncio.Lock)
    _programs: dict[tuple[int, ...], Program] = field(default_factory=dict[tuple[int, ...], Program])
    _careful: int = 0  # documents still to be evaluated apart

    async def problems(self) -> dict[int, str]:
        """Which expressions do not compile, and why. Raises MapperUnavailableError."""
        states = await self._prepared()
        return {number: state.problem for number, state in enumerate(states) if state.problem is not None}

    async def rows(self, documents: Sequence[Document], wanted: tuple[int, ...]) -> list[list[Cell]]:
        """The cells of the wanted expressions, a list for each row of each document, in order.

        Raises MapperUnavailableError.
        """
        states = await self._prepared()
        together = tuple(n for n in wanted if states[n].problem is None and not states[n].suspicion)
        rows = await self._together(together, documents)
        if together == wanted:
            return rows
        columns: dict[int, list[Cell]] = dict(zip(together, map(list, zip(*rows, strict=True)), strict=False))
        for number in wanted:
            if number not in columns:
                columns[number] = await self._column(number, states[number], documents)
        return [list(cells) for cells in zip(*(columns[number] for number in wanted), strict=True)]

    async def _column(self, number: int, state: _State, documents: Sequence[Document]) -> list[Cell]:
        if state.problem is not None:
            return [{"e": state.problem} for document in documents for _ in range(document.rows)]
        return [cell for document in documents for cell in await self._alone(number, document)]

    async def _together(self, numbers: tuple[int, ...], documents: Sequence[Document]) -> list[list[Cell]]:
        if not numbers:
            return [[] for document in documents for _ in range(document.rows)]
        if self._careful <= 0:
            try:
                evaluation = await self._evaluate(self.lanes.shared, numbers, documents)
            except StoppedError:
                self._watch_closely()
            else:
                return await self._checked(numbers, documents, evaluation)
        return [cells for document in documents for cells in await self._carefully(numbers, document)]

    async def _checked(
        self, numbers: tuple[int, ...], documents: Sequence[Document], evaluation: Evaluation | None
    ) -> list[list[Cell]]:
        """The rows of an evaluation; documents that gave none as a whole are done expression by expression."""
        outputs: Sequence[Output] = (evaluation.outputs or []) if evaluation else []
        if not outputs and len(documents) > 1:  # one of them cannot be read: find it
            return [cells for document in documents for cells in await self._carefully(numbers, document)]
        rows: list[list[Cell]] = []
        for document, output in zip_longest(documents, outputs):
            found = cast(list[list[Cell]], output) if isinstance(output, list) else []
            if len(found) == document.rows:
                rows += found
            else:
                rows += await self._one_by_one(numbers, document)
        return rows

    async def _carefully(self, numbers: tuple[int, ...], document: Document) -> list[list[Cell]]:
        """One document, apart from other configs' documents."""
        self._careful -= 1
        try:
            evaluation = await self._evaluate(self.lanes.apart, numbers, [document])
        except StoppedError:
            self._watch_closely()
            return await self._one_by_one(numbers, document)
        return await self._checked(numbers, [document], evaluation)

    async def _one_by_one(self, numbers: tuple[int, ...], document: Document) -> list[list[Cell]]:
        columns = [await self._alone(number, document) for number in numbers]
        return [list(cells) for cells in zip(*columns, strict=True)]

    async def _alone(self, number: int, document: Document) -> list[Cell]:
        """One expression, one row at a time."""
        state = (await self._prepared())[number]
        return [await self._single(number, state, single) for single in document.split()]

    async def _single(self, number: int, state: _State, document: Document, *, again: bool = True) -> Cell:
        """One expression, one row. A death counts when it happens twice: the first may not be its fault."""
        try:
            evaluation = await self._evaluate(self.lanes.apart, (number,), [document], state.limit_seconds)
        except StoppedError as error:
            if error.died and again:
                return await self._single(number, state, document, again=False)
            state.stopped()
            self._watch_closely()
            return {"e": str(error)}
        state.succeeded(self._full_limit_seconds)
        return _only_cell(evaluation)

    async def _evaluate(
        self,
        lane: Lane,
        numbers: tuple[int, ...],
        documents: Sequence[Document],
        limit_seconds: float | None = None,
    ) -> Evaluation | None:
        """None if the expressions compile alone but not together."""
        program = self._program(numbers, await self._prepared())
        try:
            evaluation = await lane.evaluate(program, [each.text for each in documents], limit_seconds)
        except CompileError:
            return None
        if evaluation.duration_seconds > len(documents) * self._full_limit_seconds * _SLOW_FRACTION:
            self._watch_closely()
        return evaluation

    def _program(self, numbers: tuple[int, ...], states: Sequence[_State]) -> Program:
        program = self._programs.get(numbers)
        if program is None:
            texts = [states[number].text for number in numbers]
            text = row(texts) if self.name is None else unfolded_row(texts, self.name)
            program = self._programs[numbers] = self.lanes.programs.new(text)
        return program

    def _watch_closely(self) -> None:
        """Keep this config's items out of other configs' way for a while."""
        self._careful = _CAREFUL_DOCUMENTS

    @property
    def _full_limit_seconds(self) -> float:
        return self.lanes.limits.item_timeout_seconds

    async def _prepared(self) -> list[_State]:
        """Find for each expression the reading that compiles; once."""
        if self._states is None:
            async with self._preparing:
                if self._states is None:
                    found = await choose_readings(self.expressions, self.lanes.shared)
                    self._states = [
                        _State(text, problem, self._full_limit_seconds) for text, problem in found
                    ]
        return self._states


def _only_cell(evaluation: Evaluation | None) -> Cell:
    """The cell of a program of one expression for a document of one row."""
    if evaluation is None:
        return {"e": "does not compile"}
    if evaluation.outputs is None:
        return {"e": "gave what cannot be written as JSON (too deeply nested, or a number out of range)"}
    output = evaluation.outputs[0]
    return output if isinstance(output, dict) else cast(Cell, output[0][0])
