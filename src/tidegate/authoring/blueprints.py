"""Reads `.port/resources/blueprints.json`: the blueprints that the integration's entities need."""

from pathlib import Path

import msgspec

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json


def read_blueprints(path: Path) -> list[dict[str, Json]]:
    """The blueprints as Port takes them; none if the file does not exist.

    Raises ConfigurationError if the file is no list of objects with an `identifier` each.
    """
    if not path.is_file():
        return []
    try:
        document = msgspec.json.decode(path.read_bytes())
    except (OSError, msgspec.DecodeError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}") from None
    if not isinstance(document, list):
        raise ConfigurationError(f"{path} must be a JSON list of blueprints")
    blueprints: list[dict[str, Json]] = []
    for index, blueprint in enumerate(document):  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
        if not (isinstance(blueprint, dict) and isinstance(blueprint.get("identifier"), str)):  # pyright: ignore[reportUnknownMemberType]
            raise ConfigurationError(f"{path}: blueprint {index} needs an `identifier` that is a string")
        blueprints.append(blueprint)  # pyright: ignore[reportUnknownArgumentType]
    return blueprints
