"""What a mapping's expression is: a constant, a plain path, or JQ for the worker process.

Constants and plain paths are taken out of JQ only where their value is provably the one that JQ gives.
"""

import re
from dataclasses import dataclass
from typing import TypeAlias

from tidegate.core.events import Json
from tidegate.mapping.paths import Step

_WHITE = " \t\n\r"
_NAME = r"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)"
_QUOTED = r'\."(?P<quoted>[^"\\\0]*)"'
_INDEX = r'\.?\[(?:"(?P<key>[^"\\\0]*)"|(?P<index>-?[0-9]{1,9}))\]'
_STEP = re.compile(rf"(?:{_NAME}|{_QUOTED}|{_INDEX})(?P<guard>\?(?![?/]))?", re.ASCII)
_PIPE = re.compile(rf"[{_WHITE}]*\|[{_WHITE}]*\.")
_STRING = re.compile(r'"([^"\\\0]*)"')
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?", re.ASCII)
_WORDS: dict[str, Json] = {"true": True, "false": False, "null": None}
_EXACT_DIGITS = 15
"""A decimal of up to 15 digits survives the way through a double (IEEE 754 binary64)."""

_OPENING_QUOTE = r"(?<!\S)'(?![\s\"])"
_CLOSING_QUOTE = r"(?<![\s\"])'(?!\S)"
_QUOTE = re.compile(f"{_OPENING_QUOTE}|{_CLOSING_QUOTE}")


@dataclass(frozen=True, slots=True)
class Constant:
    """The same value for every item."""

    value: Json


@dataclass(frozen=True, slots=True)
class PlainPath:
    """Steps into the item, evaluated without JQ. No steps: the item itself."""

    steps: tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class JqExpression:
    """Anything else. `readings` are tried in order: the first that compiles counts."""

    readings: tuple[str, ...]


Expression: TypeAlias = Constant | PlainPath | JqExpression


def classify(text: str) -> Expression:
    """Say how an expression is evaluated. Never fails: what is no JQ at all shows when it is compiled."""
    readings = readings_of(text)
    for reading in readings:
        native = _constant(reading.strip(_WHITE)) or _plain_path(reading.strip(_WHITE))
        if native is not None:
            return native
    return JqExpression(readings)


def readings_of(text: str) -> tuple[str, ...]:
    """The expression as it stands, then with single quotes turned into double quotes.

    JQ has no single quotes, but mappings written for Port use them: one that opens (at the start or after
    white space) or closes (before white space or at the end) counts as a double quote. An expression that is
    JQ as it stands, `"the dogs' bone"`, is left alone.
    """
    mended = _QUOTE.sub('"', text)
    return (text,) if mended == text else (text, mended)


def leading_path(text: str) -> tuple[str, tuple[Step, ...] | None]:
    """The path with which an expression begins (`.a.b` in `(.a.b // [] | map(.c))`), as text and as steps.

    Opening brackets, `. as $name |` and `$name |` before it are passed over. ('', None): there is none. Steps
    are None if the path is more than plain, such as `.a[1:3]`.
    """
    start = _BEFORE_PATH.match(text)
    found = _ANY_PATH.match(text, start.end() if start else 0)
    if found is None:
        return "", None
    plain = _plain_path(found.group())
    return found.group(), None if plain is None else plain.steps


_BEFORE_PATH = re.compile(r"(?:[\s(]|\.\s+as\s+\$\w+\s*\||\$\w+\s*\||\.\s*\|)+")
_ANY_PATH = re.compile(r'(?:\.\w+|\."[^"\\\0]*"|\.\[[^\[\]]+\])(?:\.\w+|\."[^"\\\0]*"|\.?\[[^\[\]]+\])*')


def _constant(text: str) -> Constant | None:
    if text in _WORDS:
        return Constant(_WORDS[text])
    if string := _STRING.fullmatch(text):
        return Constant(string[1])
    if not _NUMBER.fullmatch(text) or text == "-0":
        return None
    if sum(character.isdigit() for character in text) > _EXACT_DIGITS:
        return None
    return Constant(float(text) if "." in text else int(text))


def _plain_path(text: str) -> PlainPath | None:
    """Paths, joined by pipes or not: `.a."b c"[0]?` and `.a | .b`."""
    steps: list[Step] = []
    at = 0
    while True:
        end = _scan(text, at, steps)
        if end == at:
            return None
        if end == len(text):
            return PlainPath(tuple(steps))
        pipe = _PIPE.match(text, end)
        if pipe is None:
            return None
        at = pipe.end() - 1


def _scan(text: str, begin: int, steps: list[Step]) -> int:
    """Read one path; where it ends, which is where it began if there is none."""
    if not text.startswith(".", begin):
        return begin  # a path begins with a dot; `[0]` alone builds a list
    at = begin
    while found := _STEP.match(text, at):
        index = found["index"]
        key = found["name"] or found["quoted"] or found["key"] or ""
        steps.append(Step(key if index is None else int(index), guarded=found["guard"] is not None))
        at = found.end()
    return begin + 1 if at == begin else at  # one dot alone is the identity
