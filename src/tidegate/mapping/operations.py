"""How JQ's operations are written in Python: what the parser puts together to a function."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import LiteralString, TypeAlias

from tidegate.core.events import Json
from tidegate.mapping import functions
from tidegate.mapping.paths import NoResultError, Step, take
from tidegate.mapping.writing import Function, Name

One: TypeAlias = Callable[[Function, Name], Name]
"""Writes how a value becomes the single output, and gives the output's name."""

Then: TypeAlias = Callable[[Name], object]
"""Writes what is done with an output."""

Many: TypeAlias = Callable[[Function, Name, Then], None]
"""Writes how a value becomes any number of outputs, and what is done with each."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an expression: `one` if it always has a single output, `many` otherwise."""

    one: One | None = None
    many: Many | None = None

    def write(self, code: Function, value: Name, then: Then) -> None:
        """Write it, however many outputs it has."""
        if self.one is not None:
            then(self.one(code, value))
        elif self.many is not None:
            self.many(code, value, then)


def evaluator(one: One) -> Callable[[Json], Json]:
    """A function from a value to the output."""
    code = Function()
    code.do("return {}", one(code, code.argument))
    return code.compiled()


def first_of(part: Part) -> One:
    """The first output; raises NoResultError if there is none. It is a function of its own, so as to end early."""

    def one(code: Function, value: Name) -> Name:
        inner = Function()
        part.write(inner, inner.argument, lambda output: inner.do("return {}", output))
        inner.do("raise {}", inner.bind(NoResultError))
        return code.call(inner, value)

    return one


# --- Paths ----------------------------------------------------------------------------------------------


def constant(value: Json) -> One:
    return lambda code, _: code.bind(value)


def identity(_: Function, value: Name) -> Name:
    return value


def field_of(name: str) -> One:
    return lambda code, value: code.let(
        "{0}.get({1}) if type({0}) is dict else {2}({0})",
        value,
        code.bind(name),
        code.bind(functions.field_of_none),
    )


def plain_path(steps: Sequence[Step]) -> One:
    """A path with jq's own errors. Raises PathError or NoResultError."""

    def one(code: Function, value: Name) -> Name:
        for step in steps:
            names = value, code.bind(take), code.bind(step), code.bind(step.key)
            if isinstance(step.key, str):
                value = code.let("{0}.get({3}) if type({0}) is dict else {1}({0}, {2})", *names)
            else:
                value = code.let("{1}({0}, {2})", *names)
        return value

    return one


def element_at(index: int) -> One:
    return lambda code, value: code.call(functions.element, value, code.bind(index))


def slice_of(begin: int | None, end: int | None) -> One:
    return lambda code, value: code.call(functions.part, value, code.bind(slice(begin, end)))


def iterate(code: Function, value: Name, then: Then) -> None:
    with code.loop(code.call(functions.array, value)) as element:
        then(element)


def iterate_if_possible(code: Function, value: Name, then: Then) -> None:
    """`[]?`"""
    with code.loop(code.call(functions.array_or_nothing, value)) as element:
        then(element)


# --- Composition ----------------------------------------------------------------------------------------


def pipe(left: Part, right: Part) -> Part:
    if left.one is not None and right.one is not None:
        first, second = left.one, right.one
        return Part(one=lambda code, value: second(code, first(code, value)))
    return Part(
        many=lambda code, value, then: left.write(code, value, lambda output: right.write(code, output, then))
    )


def collect(part: Part) -> One:
    def one(code: Function, value: Name) -> Name:
        outputs = code.let("[]")
        part.write(code, value, lambda output: code.do("{}.append({})", outputs, output))
        return outputs

    return one


def map_over(part: Part) -> One:
    """`map(f)` of an array; JQ takes objects too."""
    return collect(pipe(Part(many=iterate), part))


def select(condition: One) -> Many:
    def many(code: Function, value: Name, then: Then) -> None:
        with code.block("if {}({}):", code.bind(functions.is_true), condition(code, value)):
            then(value)

    return many


def choose(condition: One, consequence: One, otherwise: One) -> One:
    def one(code: Function, value: Name) -> Name:
        chosen = code.call(functions.is_true, condition(code, value))
        with code.block("if {}:", chosen):
            code.set(chosen, "{}", consequence(code, value))
        with code.block("else:"):
            code.set(chosen, "{}", otherwise(code, value))
        return chosen

    return one


def alternative(left: One, right: One) -> One:
    """`//`, of single outputs; where the left side fails, JQ is asked."""

    def one(code: Function, value: Name) -> Name:
        found = code.let("{}", left(code, value))
        with code.block("if not {}({}):", code.bind(functions.is_true), found):
            code.set(found, "{}", right(code, value))
        return found

    return one


def interpolated(pieces: Sequence[str | One]) -> One:
    def one(code: Function, value: Name) -> Name:
        texts = [
            code.bind(piece) if isinstance(piece, str) else code.call(functions.to_string, piece(code, value))
            for piece in pieces
        ]
        return code.let("{}((" + "{}, " * len(texts) + "))", code.bind("".join), *texts)

    return one


# --- Operators and functions ----------------------------------------------------------------------------


def _logical(goes_on: LiteralString) -> Callable[[One, One], One]:
    """`and` or `or`: the right side is looked at only if, by the left one, it decides."""

    def operation(left: One, right: One) -> One:
        def one(code: Function, value: Name) -> Name:
            result = code.call(functions.is_true, left(code, value))
            with code.block(goes_on, result):
                code.set(result, "{}({})", code.bind(functions.is_true), right(code, value))
            return result

        return one

    return operation


both = _logical("if {}:")
either = _logical("if not {}:")


def of_input(function: Callable[[Json], Json]) -> One:
    """A function of JQ without arguments."""
    return lambda code, value: code.call(function, value)


def of_input_and(function: Callable[[Json, Json], Json]) -> Callable[[One], One]:
    """A function of JQ with one argument, which has a single output."""
    return lambda argument: lambda code, value: code.call(function, value, argument(code, value))


def operator(function: Callable[[Json, Json], Json]) -> Callable[[One, One], One]:
    return lambda left, right: lambda code, value: code.call(function, left(code, value), right(code, value))
