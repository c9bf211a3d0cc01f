"""A part of JQ's grammar, compiled into Python: the expressions that mappings are mostly made of.

What is not understood here is no error: it is JQ's. What is understood is valid JQ, and has JQ's precedence:
pipes bind least, then `//`, `or`, `and`, comparisons, and `+` most.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from tidegate.mapping import functions
from tidegate.mapping import operations as op
from tidegate.mapping.operations import One, Part
from tidegate.mapping.reading import written
from tidegate.mapping.writing import NestedTooDeeplyError

_LONGEST = 1000
_DEEPEST = 20
_MOST_COPIES = 20
_TOKEN = re.compile(
    r"""[ \t\n\r]*(?:
      (?P<string>")
    | (?P<name>\.(?:[A-Za-z_][A-Za-z0-9_]*|(?=")))
    | (?P<word>[A-Za-z_][A-Za-z0-9_]*(?!::))
    | (?P<number>(?:0|[1-9][0-9]{0,14})(?![0-9.eE]))
    | (?P<sign>//(?!=)|[=!]=|\+(?!=)|\|(?!=)|\.(?!\.)|\?(?!//)|[\[\]():;-])
    | (?P<end>\Z))""",
    re.VERBOSE | re.ASCII,
)
_PLAIN = re.compile(r'[^"\\\0-\x1f]+')
_ESCAPES = {'"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_RESERVED = frozenset(
    [
        "and",
        "or",
        "if",
        "then",
        "elif",
        "else",
        "end",
        "as",
        "def",
        "reduce",
        "foreach",
        "try",
        "catch",
        "label",
        "import",
        "include",
    ]
)
_CONSTANTS: dict[str, One] = {
    "null": op.constant(None),
    "true": op.constant(True),
    "false": op.constant(False),
}
_FUNCTIONS: dict[str, One] = {
    "not": op.of_input(functions.negate),
    "tostring": op.of_input(functions.to_string),
    "length": op.of_input(functions.length),
    "ascii_downcase": op.of_input(functions.lower),
    "ascii_upcase": op.of_input(functions.upper),
    "first": op.element_at(0),
    "last": op.element_at(-1),
}
_OF_ONE: dict[str, Callable[[One], One]] = {
    "startswith": op.of_input_and(functions.starts_with),
    "endswith": op.of_input_and(functions.ends_with),
    "contains": op.of_input_and(functions.contains),
    "has": op.of_input_and(functions.has),
    "split": op.of_input_and(functions.split),
    "join": op.of_input_and(functions.join),
}
_COMPARISONS = {"==": op.operator(functions.equal), "!=": op.operator(functions.differ)}
_add = op.operator(functions.total)


class _NotOursError(Exception):
    """The expression is JQ's, or no JQ at all."""


class _QuoteError(_NotOursError):
    """A single quote outside of text: this is no JQ for sure."""


def compile_native(readings: Sequence[str]) -> One | None:
    """How the first reading that is JQ is written in Python, if it can be; None if JQ must evaluate it.

    What is written gives the first output. It raises UnsureError where JQ must be asked, NoResultError where
    there is no output.
    """
    for reading in readings:
        try:
            part = _Parser(reading).whole()
            one = part.one or op.first_of(part)
            written([None], {0: one})
        except _QuoteError:
            continue
        except (_NotOursError, NestedTooDeeplyError):
            return None
        return one
    return None


@dataclass(slots=True)
class _Parser:
    """One token ahead; each method reads one level of precedence.

    Nothing bounds the memory that Python takes. So `copies` counts what may make a value larger than the input, such
    as `. + .`: of more than a few, and of one behind another, as in `. + . | . + .`, JQ is asked.
    """

    text: str
    at: int = 0
    kind: str = ""
    token: str = ""
    depth: int = field(default=0, init=False)
    copies: int = field(default=0, init=False)

    def whole(self) -> Part:
        if len(self.text) > _LONGEST:
            raise _NotOursError
        self._next()
        part = self._pipe()
        if self.kind != "end":
            raise _NotOursError
        return part

    # --- Tokens ------------------------------------------------------------------------------------------

    def _next(self) -> None:
        found = _TOKEN.match(self.text, self.at)
        if found is None:
            rest = self.text[self.at :].lstrip(" \t\n\r")
            raise _QuoteError if rest.startswith("'") else _NotOursError
        self.at, self.kind = found.end(), found.lastgroup or ""
        self.token = found[self.kind]

    def _is(self, token: str) -> bool:
        return self.token == token and self.kind in ("sign", "word")

    def _take(self, token: str) -> bool:
        if self._is(token):
            self._next()
            return True
        return False

    def _want(self, token: str) -> None:
        if not self._take(token):
            raise _NotOursError

    # --- Precedence --------------------------------------------------------------------------------------

    def _pipe(self) -> Part:
        self.depth += 1
        if self.depth > _DEEPEST:
            raise _NotOursError
        before = self.copies
        part = self._alternative()
        if self._take("|"):
            between = self.copies
            part = op.pipe(part, self._pipe())
            if before < between < self.copies:
                raise _NotOursError
        self.depth -= 1
        return part

    def _alternative(self) -> Part:
        left = self._or()
        if not self._take("//"):
            return left
        return Part(one=op.alternative(_one(left), _one(self._alternative())))

    def _or(self) -> Part:
        left = self._and()
        while self._take("or"):
            left = Part(one=op.either(_one(left), _one(self._and())))
        return left

    def _and(self) -> Part:
        left = self._comparison()
        while self._take("and"):
            left = Part(one=op.both(_one(left), _one(self._comparison())))
        return left

    def _comparison(self) -> Part:
        left = self._sum()
        if self.kind == "sign" and (compare := _COMPARISONS.get(self.token)):
            self._next()
            left = Part(one=compare(_one(left), _one(self._sum())))
            if self.kind == "sign" and self.token in _COMPARISONS:
                raise _NotOursError  # they do not associate
        return left

    def _sum(self) -> Part:
        left = self._postfix()
        while self._take("+"):
            self._copy()
            left = Part(one=_add(_one(left), _one(self._postfix())))
        return left

    def _copy(self) -> None:
        self.copies += 1
        if self.copies > _MOST_COPIES:
            raise _NotOursError

    # --- Terms -------------------------------------------------------------------------------------------

    def _postfix(self) -> Part:
        part = self._term()
        while True:
            if self.kind == "name":
                part = op.pipe(part, Part(one=op.field_of(self._name())))
            elif self._take("["):
                part = op.pipe(part, self._bracket())
            elif self._is("."):
                self._next()
                self._want("[")
                part = op.pipe(part, self._bracket(sliced=False))  # `.a.[1:]` is no JQ
            elif self._is("?"):
                raise _NotOursError
            else:
                return part

    def _term(self) -> Part:
        if self.kind == "name":
            return Part(one=op.field_of(self._name()))
        if self.kind == "string":
            return Part(one=self._string())
        if self.kind == "number":
            number = int(self.token)
            self._next()
            return Part(one=op.constant(number))
        if self.kind == "word":
            return self._word()
        if self._take("."):
            return (
                op.pipe(Part(one=op.identity), self._bracket()) if self._take("[") else Part(one=op.identity)
            )
        if self._take("("):
            part = self._pipe()
            self._want(")")
            return part
        if self._take("["):
            return Part(one=self._list())
        raise _NotOursError

    def _name(self) -> str:
        """`.name`, or `."name"`, whose dot has been read."""
        name = self.token[1:]
        self._next()
        if name:
            return name
        text = self._text()
        if not isinstance(text, str):
            raise _NotOursError
        return text

    def _list(self) -> One:
        if self._take("]"):
            return op.constant([])
        part = self._pipe()
        self._want("]")
        return op.collect(part)

    def _bracket(self, *, sliced: bool = True) -> Part:
        """What stands in brackets behind a term, and the closing one; a slice only where one is `sliced`."""
        if self._take("]"):
            if not self._take("?"):
                return Part(many=op.iterate)
            if self._is("?"):
                raise _NotOursError
            return Part(many=op.iterate_if_possible)
        if self.kind == "string":
            name = self._text()
            self._want("]")
            if not isinstance(name, str):
                raise _NotOursError
            return Part(one=op.field_of(name))
        begin = None if self._is(":") else self._index()
        if self._take("]"):
            assert begin is not None  # noqa: S101 - it was read
            return Part(one=op.element_at(begin))
        if not sliced:
            raise _NotOursError
        self._want(":")
        end = None if self._is("]") else self._index()
        if begin is None and end is None:
            raise _NotOursError
        self._want("]")
        return Part(one=op.slice_of(begin, end))

    def _index(self) -> int:
        sign = -1 if self._take("-") else 1
        if self.kind != "number" or len(self.token) > 9:
            raise _NotOursError
        number = sign * int(self.token)
        self._next()
        return number

    def _word(self) -> Part:
        word = self.token
        self._next()
        if word in _RESERVED and word != "if":
            raise _NotOursError
        if word == "if":
            return Part(one=self._condition())
        if self._take("("):
            part = self._pipe()
            self._want(")")
            return self._call(word, part)
        if one := _CONSTANTS.get(word) or _FUNCTIONS.get(word):
            return Part(one=one)
        raise _NotOursError

    def _call(self, word: str, argument: Part) -> Part:
        if word == "map":
            return Part(one=op.map_over(argument))
        if word == "select":
            return Part(many=op.select(_one(argument)))
        if make := _OF_ONE.get(word):
            return Part(one=make(_one(argument)))
        raise _NotOursError

    def _condition(self) -> One:
        """Behind `if` or `elif`."""
        condition = _one(self._pipe())
        self._want("then")
        then = _one(self._pipe())
        if self._take("elif"):
            return op.choose(condition, then, self._condition())
        otherwise = _one(self._pipe()) if self._take("else") else op.identity
        self._want("end")
        return op.choose(condition, then, otherwise)

    # --- Text --------------------------------------------------------------------------------------------

    def _string(self) -> One:
        found = self._text()
        return op.constant(found) if isinstance(found, str) else op.interpolated(found)

    def _text(self) -> str | list[str | One]:
        """Text behind its opening quote: as it is, or in pieces if values are interpolated."""
        pieces: list[str | One] = []
        plain: list[str] = []
        while True:
            if found := _PLAIN.match(self.text, self.at):
                plain.append(found[0])
                self.at = found.end()
            mark, escaped = self.text[self.at : self.at + 1], self.text[self.at + 1 : self.at + 2]
            if mark == '"':
                self.at += 1
                self._next()
                whole = "".join(plain)
                return [*pieces, whole] if pieces else whole
            if mark != "\\":
                raise _NotOursError
            self.at += 2
            if escaped == "(":
                if pieces:
                    self._copy()
                pieces += ["".join(plain), self._interpolation()]
                plain = []
            elif escaped in _ESCAPES:
                plain.append(_ESCAPES[escaped])
            else:
                raise _NotOursError

    def _interpolation(self) -> One:
        """Up to the closing bracket, behind which the text goes on."""
        self._next()
        one = _one(self._pipe())
        if not self._is(")"):
            raise _NotOursError
        return one


def _one(part: Part) -> One:
    """Where several outputs would multiply, the expression is left to JQ."""
    if part.one is None:
        raise _NotOursError
    return part.one
