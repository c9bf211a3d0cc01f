"""Writes Python functions: an expression that Python can evaluate is compiled once instead of interpreted each time.

What is written are literals of this package (the type checker sees to it: `LiteralString`) and names that are made
here. What an author wrote, a field's name or a text, is never written; it is bound to a name. And a function sees
nothing but what was bound.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any, LiteralString, NewType, cast

from tidegate.core.events import Json

Name = NewType("Name", str)
"""A name in a function: of a value, or of something bound."""

_DEEPEST = 80
_DEEPEST_LOOPS = 15
"""Python itself takes 100 levels of indentation and 20 nested loops."""

_BUILTINS = {"type": type, "dict": dict}


class NestedTooDeeplyError(Exception):
    """Python would not compile the function."""


class Function:
    """A function of one argument, as it is being written."""

    def __init__(self) -> None:
        self.argument = Name("argument")
        self._lines: list[str] = []
        self._bound: dict[Name, object] = {}
        self._bound_names: dict[int, Name] = {}
        self._depth = 1
        self._loops = 0
        self._values = 0

    def bind(self, constant: object) -> Name:
        """The name of something that is the same in every call."""
        name = self._bound_names.get(id(constant))
        if name is None:
            name = self._bound_names[id(constant)] = Name(f"c{len(self._bound)}")
            self._bound[name] = constant
        return name

    def let(self, expression: LiteralString, *names: Name) -> Name:
        """Write that a new name has an expression's value; `{0}` in it stands for the first of `names`."""
        self._values += 1
        name = Name(f"v{self._values}")
        self.set(name, expression, *names)
        return name

    def set(self, name: Name, expression: LiteralString, *names: Name) -> None:
        """Write that a name has another value from here on."""
        self._write(f"{name} = {expression.format(*names)}")

    def call(self, function: "Callable[..., object] | Function", *names: Name) -> Name:
        """Write that a new name has what a function returns; a written one is compiled along with this one."""
        return self.let("{}(" + "{}, " * len(names) + ")", self.bind(function), *names)

    def do(self, statement: LiteralString, *names: Name) -> None:
        self._write(statement.format(*names))

    @contextmanager
    def block(self, head: LiteralString, *names: Name) -> Generator[None]:
        """What is written inside belongs to the block. Raises NestedTooDeeplyError."""
        self._write(head.format(*names))
        self._depth += 1
        if self._depth > _DEEPEST:
            raise NestedTooDeeplyError
        yield
        self._depth -= 1

    @contextmanager
    def loop(self, elements: Name) -> Generator[Name]:
        """A loop; gives the name of the element in hand. Raises NestedTooDeeplyError."""
        self._loops += 1
        if self._loops > _DEEPEST_LOOPS:
            raise NestedTooDeeplyError
        element = self.let("None")
        with self.block("for {0} in {1}:", element, elements):
            yield element
        self._loops -= 1

    def compiled(self) -> Callable[[Json], Any]:
        source = "\n".join(["def function(argument):", *self._lines])
        names: dict[str, object] = {"__builtins__": _BUILTINS, "__name__": __name__}
        for name, bound in self._bound.items():
            names[name] = bound.compiled() if isinstance(bound, Function) else bound
        exec(compile(source, "<mapping>", "exec"), names)  # noqa: S102 - literals and names from above, no more
        return cast(Callable[[Json], Any], names["function"])

    def _write(self, line: str) -> None:
        self._lines.append("    " * self._depth + line)
