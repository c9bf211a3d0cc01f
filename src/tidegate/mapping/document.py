"""A YAML document with the line of each of its parts, read so that it is JSON and nothing more."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias, cast

import yaml

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json

Location: TypeAlias = tuple[str | int, ...]
"""The way from a document's top to one of its parts."""

_TEXT_TAG = "tag:yaml.org,2002:str"
_MERGE_TAG = "tag:yaml.org,2002:merge"
_TIME_TAG = "tag:yaml.org,2002:timestamp"


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong at a place of a document."""

    location: Location
    message: str


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed document; without lines if it was not parsed here."""

    value: Json
    lines: Mapping[Location, int] = field(default_factory=dict[Location, int])
    problems: tuple[Problem, ...] = ()

    def line(self, location: Location) -> int | None:
        """The line of a part or, if the part is missing, of what it is missing from."""
        while location not in self.lines:
            if not location:
                return None
            location = location[:-1]
        return self.lines[location]

    def wrapped(self, key: str) -> "Document":
        """The document as the only element of a list under a key."""
        lines = {(key, 0, *location): line for location, line in self.lines.items()}
        return Document({key: [self.value]}, lines, self.problems)


class _Loader(yaml.SafeLoader):
    """Dates stay text, since JSON has none."""

    yaml_implicit_resolvers = {  # noqa: RUF012 - declared so by PyYAML
        first: [(tag, pattern) for tag, pattern in resolvers if tag != _TIME_TAG]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


def read_document(file: Path) -> Document:
    """Read a YAML (or JSON) file. Raises ConfigurationError if it cannot be read or is no YAML."""
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigurationError(f"{file}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: cannot be read as UTF-8 text: {error}") from error
    return parse_document(text, str(file))


def parse_document(text: str, source: str) -> Document:
    """Parse YAML (or JSON). Raises ConfigurationError, which names the source, if it is no YAML."""
    lines: dict[Location, int] = {}
    problems: list[Problem] = []
    value: Json = None
    try:
        loader = _Loader(text)
    except yaml.YAMLError as error:  # a control character
        raise ConfigurationError(f"{source}: this is no YAML: {error}") from error
    try:
        node = loader.get_single_node()
        if node is not None:
            problems.extend(_walk(node, (), lines, set()))  # before merge keys are resolved in it
            value = loader.construct_document(node)  # pyright: ignore[reportUnknownMemberType]
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise ConfigurationError(f"{source}: {line}this is no YAML: {error.problem}") from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"{source}: this is no YAML: {error}") from error
    finally:
        loader.dispose()
    return Document(value, lines, tuple(problems))


def _walk(
    node: yaml.Node, location: Location, lines: dict[Location, int], walked: set[int]
) -> Iterator[Problem]:
    """Note the lines; tell what YAML lets pass: keys that are no text, keys given twice."""
    lines.setdefault(location, node.start_mark.line + 1)
    if id(node) in walked:  # an alias, which may even stand inside of what it names
        return
    walked.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, element in enumerate(cast(list[yaml.Node], node.value)):
            yield from _walk(element, (*location, index), lines, walked)
    if isinstance(node, yaml.MappingNode):
        for key, value in cast(list[tuple[yaml.Node, yaml.Node]], node.value):
            if key.tag == _MERGE_TAG:
                continue
            name = str(key.value)
            inside = (*location, name)
            if key.tag != _TEXT_TAG:
                yield Problem(location, f'the key {name} is no text to YAML: write it in quotes, "{name}"')
            elif inside in lines:
                yield Problem(inside, f"is given twice, first on line {lines[inside]}: keep one")
            lines.setdefault(inside, key.start_mark.line + 1)
            yield from _walk(value, inside, lines, walked)
