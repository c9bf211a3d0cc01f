"""The string that a sender signs, as a template over the parts of the request: `{timestamp}.{body}`."""

import string
from collections.abc import Mapping
from dataclasses import dataclass

from tidegate.core.errors import ConfigurationError

FIELDS = frozenset({"body", "timestamp", "id", "method", "url"})


@dataclass(frozen=True, slots=True)
class SignedText:
    """A parsed template. The body goes in as the raw bytes that were received."""

    template: str
    _pieces: tuple[tuple[bytes, str], ...]  # literal text, then the field that follows it ("" for none)

    @classmethod
    def parse(cls, template: str) -> "SignedText":
        """Raises ConfigurationError for unknown fields, and for a template that leaves the body unsigned."""
        try:
            pieces = [
                (literal.encode(), field or "") for literal, field, _, _ in string.Formatter().parse(template)
            ]
        except ValueError as error:
            raise ConfigurationError(f"the signed string {template!r} cannot be read: {error}") from None
        fields = {field for _, field in pieces if field}
        if not fields <= FIELDS:
            raise ConfigurationError(
                f"the signed string {template!r} names {', '.join(sorted(fields - FIELDS))}; "
                f"it may name {', '.join(sorted(FIELDS))}"
            )
        if "body" not in fields:
            raise ConfigurationError(
                f"the signed string {template!r} leaves out {{body}}: whoever saw one signature "
                "could send any event with it"
            )
        return cls(template, tuple(pieces))

    def names(self, field: str) -> bool:
        """Whether the field is part of what is signed."""
        return any(name == field for _, name in self._pieces)

    def render(self, values: Mapping[str, bytes]) -> bytes:
        """The bytes that are signed. `values` holds every field that the template names."""
        return b"".join(literal + (values[field] if field else b"") for literal, field in self._pieces)
