"""How signatures stand in a header: `sha256=…`, `v1=…,v1=…`, `t=…,v1=…`, `v1,… v1,…`, or bare."""

from dataclasses import dataclass

from tidegate.core.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class SignatureFields:
    """What a signature header held: the signatures without their prefix, and the timestamp if there is one."""

    signatures: tuple[str, ...]
    timestamp: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureHeader:
    """A header and its layout. `name` is in lower case.

    `separator` parts the items of a list; "" means that the whole value is one item. Items that begin with
    `prefix` are signatures, the one that begins with `timestamp_prefix` is the timestamp, others (schemes
    of other versions) are passed over.
    """

    name: str
    prefix: str = ""
    separator: str = ""
    timestamp_prefix: str = ""

    def __post_init__(self) -> None:
        """Raises ConfigurationError for a list without a separator."""
        if self.timestamp_prefix and not self.separator:
            raise ConfigurationError(
                f"the header {self.name} holds a timestamp and a signature: name the separator between them"
            )

    def parse(self, value: str) -> SignatureFields:
        """Never raises. Two timestamps count as none: which one was signed would be a guess."""
        items = [item.strip(" ") for item in value.split(self.separator)] if self.separator else [value]
        timestamps: list[str] = []
        if self.timestamp_prefix:
            timestamps = _after(self.timestamp_prefix, items)
        signatures = [signature for signature in _after(self.prefix, items) if signature]
        return SignatureFields(tuple(signatures), timestamps[0] if len(timestamps) == 1 else None)

    def compose(self, signature: str, timestamp: str = "") -> str:
        """The header's value for one signature."""
        item = self.prefix + signature
        if not self.timestamp_prefix:
            return item
        return f"{self.timestamp_prefix}{timestamp}{self.separator}{item}"


def _after(prefix: str, items: list[str]) -> list[str]:
    return [item[len(prefix) :] for item in items if item.startswith(prefix)]
