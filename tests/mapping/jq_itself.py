"""What jq itself says of an expression and a document, for tests that compare."""

import json
from typing import Any

import jq


def with_jq(expression: str, document: Any) -> tuple[str, Any]:
    """What jq says: ("value", it), ("error", message), ("nothing", None) or ("no jq", None)."""
    try:
        program = jq.compile(f"({expression}\n) | tojson")
    except ValueError:
        return "no jq", None
    try:
        return "value", json.loads(program.input_text(json.dumps(document)).first())
    except StopIteration:
        return "nothing", None
    except ValueError as error:
        return "error", str(error)
