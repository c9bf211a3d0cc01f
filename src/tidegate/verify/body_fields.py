"""Single fields of a JSON body, read without building the rest of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec

from tidegate.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class BodyField:
    """A string or whole number at a path of object keys, written with dots ("event.id")."""

    path: str
    _decode: Callable[[bytes], Any]

    @classmethod
    def at(cls, path: str) -> "BodyField":
        """Raises ConfigurationError for an empty path or step."""
        steps = path.split(".")
        if not all(steps):
            raise ConfigurationError(f"{path!r} is no path into a body: write it as 'event.id'")
        shape: Any = str | int | None
        for step in reversed(steps):
            field = ("value", shape | None, msgspec.field(name=step, default=None))
            shape = msgspec.defstruct("Shape", [field])
        return cls(path, msgspec.json.Decoder(shape).decode)

    def read(self, body: bytes) -> str | int | None:
        """The value; None if the body is no such JSON, or the field is absent or of another type."""
        try:
            value = self._decode(body)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        for _ in self.path.split("."):
            if value is None:
                return None
            value = value.value
        return value

    def written(self, body: bytes, value: str | int) -> bytes:
        """The body with the field set, encoded anew. Raises ConfigurationError if the body is no JSON object."""
        try:
            document = msgspec.json.decode(body, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            raise ConfigurationError(
                f"the body must be a JSON object, because this sender puts {self.path!r} into it"
            ) from None
        *parents, last = self.path.split(".")
        place = document
        for step in parents:
            inner = place.get(step)
            place[step] = place = dict[str, Any](inner) if isinstance(inner, dict) else {}  # pyright: ignore[reportUnknownArgumentType]
        place[last] = value
        return msgspec.json.encode(document)
