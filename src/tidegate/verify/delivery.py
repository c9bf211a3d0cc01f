"""Where a sender puts the id that tells its deliveries apart, so that a repeated one is recognised.

A wrong place is worse than none: different events that share a value would become one.
"""

from dataclasses import dataclass

from tidegate.core.events import EventHeaders
from tidegate.verify.body_fields import BodyField


@dataclass(frozen=True, slots=True)
class DeliveryId:
    """The header (in lower case) or the body field that holds the id; the header counts first."""

    header: str = ""
    field: BodyField | None = None

    @classmethod
    def at(cls, header: str | None = None, path: str | None = None) -> "DeliveryId":
        """In a header, named in any case, or at a path of the body ("event.id")."""
        return cls((header or "").lower(), BodyField.at(path) if path else None)

    def find(self, headers: EventHeaders, body: bytes) -> str | None:
        """The id, or None: then the delivery is never taken for a repetition."""
        found: str | int | None = headers.get(self.header)
        if not found and self.field is not None:
            found = self.field.read(body)
        return None if found is None else str(found) or None

    def placed(self, headers: dict[str, str], body: bytes, delivery_id: str) -> bytes:
        """Put an id where the sender puts it: into `headers` in place, or into the body that is returned."""
        if self.header:
            headers[self.header] = delivery_id
        elif self.field is not None:
            return self.field.written(body, delivery_id)
        return body
