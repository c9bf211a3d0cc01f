"""Does an expression compile, closed off and alone? Only then it may be combined with others.

Compiled alone it is balanced, so it cannot leave its brackets. That test comes second: what compiles in
brackets begins with no `import`, so that no module is ever looked for.
"""

import asyncio
import re
from collections.abc import Iterable

from tidegate.mapping.expressions import JqExpression
from tidegate.mapping.lane import CompileError, Lane, Program
from tidegate.mapping.process import StoppedError
from tidegate.mapping.programs import closed

_FIRST_ERROR = re.compile(
    r"(?:jq: error: )?(?P<what>.*?) at <top-level>, line (?P<line>\d+), column (?P<column>\d+)"
)
_MODULE_WORD = re.compile(r"\b(?:import|include|module)\b")


async def choose_reading(expression: JqExpression, lane: Lane) -> tuple[str, str | None]:
    """The first reading that compiles, or ('', why none does). Raises MapperUnavailableError."""
    problem: str | None = None
    for reading in expression.readings:
        problem = await _problem(reading, lane)
        if problem is None:
            return reading, None
    return "", problem


async def choose_readings(expressions: Iterable[JqExpression], lane: Lane) -> list[tuple[str, str | None]]:
    return list(await asyncio.gather(*(choose_reading(each, lane) for each in expressions)))


async def _problem(text: str, lane: Lane) -> str | None:
    if "\0" in text:
        return "does not compile: it holds a NUL character"
    if any("\ud800" <= character <= "\udfff" for character in text):
        return "does not compile: it is not valid Unicode"
    try:
        in_brackets = await _compile_error(closed(text), lane)
        if in_brackets is None:
            alone = await _compile_error(text, lane)
            return None if alone is None else f"does not compile: {alone}"
        what = in_brackets.partition(" (line ")[0]
        if _MODULE_WORD.search(text):
            return f"does not compile (import, include and module are closed): {what}"
        return f"does not compile: {await _compile_error(text, lane) or what}"
    except StoppedError as error:
        return f"cannot be compiled: {error}"


async def _compile_error(text: str, lane: Lane) -> str | None:
    try:
        await lane.evaluate(Program(0, text), ())
    except CompileError as error:
        first_line = str(error).partition("\n")[0]
        found = _FIRST_ERROR.match(first_line)
        return f"{found['what']} (line {found['line']}, column {found['column']})" if found else first_line
    return None
