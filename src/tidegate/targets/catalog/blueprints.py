"""Blueprints: parsed and compiled once, so that checking an entity costs a few microseconds."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tidegate.core.errors import ConfigurationError
from tidegate.core.events import Json
from tidegate.targets.catalog.properties import Check, compile_check
from tidegate.targets.shapes import is_blueprint_identifier, is_object, json_type, shown

CALCULATED_SECTIONS = ("calculationProperties", "mirrorProperties", "aggregationProperties")
"""Sections of a blueprint whose properties are computed: what an entity sends for them is ignored."""

_NAME = re.compile(r"[A-Za-z0-9@_=-]{1,100}")


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation of a blueprint: to one entity or many of the blueprint `target`."""

    target: str
    many: bool
    required: bool


@dataclass(frozen=True, slots=True)
class Blueprint:
    """A blueprint ready to check entities. `document` is what the user wrote."""

    identifier: str
    document: Mapping[str, Json]
    checks: Mapping[str, Check]
    required: frozenset[str]
    calculated: frozenset[str]
    relations: Mapping[str, Relation]

    def property_fault(self, properties: Mapping[str, Json]) -> str | None:
        """What is wrong with an entity's properties as they would be stored, or None. Calculated ones are
        not among them any more.
        """
        checks = self.checks
        for name, value in properties.items():
            check = checks.get(name)
            if check is None:
                known = ", ".join(checks) or "none"
                return f"property {name} is not in blueprint {self.identifier} (it has: {known})"
            if value is not None:
                fault = check(value)
                if fault is not None:
                    return f"property {name} {fault}"
        for name in self.required:
            if properties.get(name) is None:
                return f"property {name} is required by blueprint {self.identifier} and has no value"
        return None


def parse_blueprint(document: Json) -> Blueprint:
    """Check and compile a blueprint. Raises ConfigurationError: what is wrong, and where."""
    if not is_object(document):
        raise ConfigurationError(f"a blueprint is an object, not {json_type(document)}")
    identifier = document.get("identifier")
    if not is_blueprint_identifier(identifier):
        raise ConfigurationError(
            f"blueprint {shown(identifier)}: `identifier` must have 1 to 100 letters, digits and @ _ . + : - /"
        )
    where = f"blueprint {identifier}"
    schema = _section(document, "schema", where)
    properties = _section(schema, "properties", f"{where}: schema")
    relations = _section(document, "relations", where)
    _check_names(properties, f"{where}: schema: properties")
    _check_names(relations, f"{where}: relations")
    required: Json = schema.get("required") or []
    unknown = [shown(name) for name in required if name not in properties]
    if unknown:
        raise ConfigurationError(f"{where}: schema: required: {', '.join(unknown)} not among the properties")
    return Blueprint(
        identifier=identifier,
        document=document,
        checks={
            name: compile_check(value, f"{where}: property {name}") for name, value in properties.items()
        },
        required=frozenset(required),
        calculated=frozenset(
            name for part in CALCULATED_SECTIONS for name in _section(document, part, where)
        ),
        relations={name: _relation(value, f"{where}: relation {name}") for name, value in relations.items()},
    )


def _check_names(names: Iterable[str], where: str) -> None:
    """Names of properties and relations, as Port's API reference has them ("Create a blueprint")."""
    for name in names:
        if _NAME.fullmatch(name) is None:
            raise ConfigurationError(f"{where}: {shown(name)} must have 1 to 100 letters, digits and @ _ = -")


def _section(document: Mapping[str, Json], name: str, where: str) -> Mapping[str, Json]:
    section = document.get(name)
    if section is None:
        return {}
    if not is_object(section):
        raise ConfigurationError(f"{where}: `{name}` must be an object, not {json_type(section)}")
    return section


def _relation(document: Json, where: str) -> Relation:
    if not is_object(document):
        raise ConfigurationError(f"{where}: must be an object with a `target`, not {json_type(document)}")
    target = document.get("target")
    if not isinstance(target, str) or not target:
        raise ConfigurationError(f"{where}: `target` must name a blueprint, not {shown(target)}")
    many, required = document.get("many", False), document.get("required", False)
    for name, value in (("many", many), ("required", required)):
        if not isinstance(value, bool):
            raise ConfigurationError(f"{where}: `{name}` must be a boolean, not {shown(value)}")
    return Relation(target, many, required)
