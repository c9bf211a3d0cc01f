"""The text of JQ programs: expressions closed off from the machine, and many of them in one program.

An expression must have compiled alone before it is combined: only then it cannot leave its brackets. It is
followed by two line ends, because a comment may end in a backslash and swallow one.
"""

import json
from collections.abc import Sequence

_CLOSED = {
    "env": "{}",
    "debug": ".",
    "debug(message)": ".",
    "stderr": ".",
    "input": 'error("No more inputs")',
    "inputs": "empty",
    "input_filename": "null",
    "input_line_number": 'error("input_line_number is closed")',
    "halt": 'error("halt is closed")',
    "halt_error": 'error("halt_error is closed")',
    "halt_error(code)": 'error("halt_error is closed")',
    "modulemeta": 'error("modulemeta is closed")',
    "get_search_list": "[]",
    "get_jq_origin": "null",
    "get_prog_origin": "null",
}
"""What reaches out of a program (jq 1.8's builtins), and what stands there instead."""

_CLOSING = "".join(f"def {name}: {body}; " for name, body in _CLOSED.items()) + "{} as $ENV | "
_MESSAGE = '(if type == "string" then . else tojson end)[:300]'


def closed(expression: str) -> str:
    """The expression in brackets, with all that reaches out of the program shadowed.

    `import`, `include` and `module` are syntax errors inside brackets.
    """
    return f"{_CLOSING}(\n{expression}\n\n)"


def row(expressions: Sequence[str]) -> str:
    """A program from an item to the JSON text of a list with one cell for each expression.

    A cell is [first output], [] where there is none, or {"e": message} where the expression failed. The JSON
    text keeps all digits of a number; the binding's own conversion would not.
    """
    return f"{_CLOSING}{_cells(expressions)} | tojson"


def unfolded_row(expressions: Sequence[str], name: str) -> str:
    """Like `row`, from {"base": object, "elements": list}: one output for each element, merged as `name`."""
    merged = f"$base + {{{json.dumps(name)}: .}}"
    return f"{_CLOSING}.base as $base | .elements[] | {merged} | {_cells(expressions)} | tojson"


def _cells(expressions: Sequence[str]) -> str:
    return "[" + ",\n".join(map(_cell, expressions)) + "]"


def _cell(expression: str) -> str:
    return f"(try [first((\n{expression}\n\n))] catch {{e: {_MESSAGE}}})"
