"""The route schemas of the Port stub: a body that breaks one is refused as a whole, as Port refuses it."""

from dataclasses import dataclass, field

from tidegate.core.errors import TidegateError
from tidegate.core.events import Json
from tidegate.targets.shapes import as_list, identifier_fault, is_object, is_search, json_type

_FIELDS = frozenset({"identifier", "blueprint", "title", "icon", "team", "properties", "relations"})


class StubRefusalError(TidegateError):
    """The stub answers `status` with Port's error body. `whole` means that it concerns the whole request."""

    def __init__(self, status: int, error: str, message: str, *, whole: bool = False) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message
        self.whole = whole


@dataclass(frozen=True, slots=True)
class SentEntity:
    """An entity of a request. `texts` holds what was sent of title, icon and team."""

    identifier: Json
    texts: dict[str, Json] = field(default_factory=dict[str, Json])
    properties: dict[str, Json] = field(default_factory=dict[str, Json])
    relations: dict[str, Json] = field(default_factory=dict[str, Json])


def read_entity(document: Json) -> SentEntity:
    """Read one entity of a request. Raises StubRefusalError (422, the whole request)."""
    if not is_object(document):
        raise malformed(f"an entity must be an object, not {json_type(document)}")
    unknown = sorted(set(document) - _FIELDS)
    if unknown:
        raise malformed(f"an entity has no field {', '.join(unknown)}")
    _check_identifier(document.get("identifier"), "identifier")
    for name in ("title", "icon"):
        if not isinstance(document.get(name), str | None):
            raise malformed(f"{name} must be a string, not {json_type(document[name])}")
    team = document.get("team")
    if not is_search(team) and not all(isinstance(one, str) for one in as_list(team)):
        raise malformed("team must be a string, an array of strings or a search query")
    relations = _object(document, "relations")
    for name, value in relations.items():
        for target in as_list(value):
            _check_identifier(target, f"relation {name}")
    texts = {name: document[name] for name in ("title", "icon", "team") if name in document}
    return SentEntity(document["identifier"], texts, _object(document, "properties"), relations)


def malformed(message: str) -> StubRefusalError:
    """422 for the whole request."""
    return StubRefusalError(422, "invalid_request", message, whole=True)


def _object(document: dict[str, Json], name: str) -> dict[str, Json]:
    value = document.get(name, {})
    if not is_object(value):
        raise malformed(f"{name} must be an object, not {json_type(value)}")
    return value


def _check_identifier(value: Json, where: str) -> None:
    fault = None if is_search(value) else identifier_fault(value)
    if fault is not None:
        raise malformed(f"{where}: {fault}")
