"""The reference of settings, from the models in tidegate.config."""

from collections.abc import Iterator
from typing import Any

from scripts.docs_reference.blocks import table
from tidegate.config import Settings, origin_of

_COLUMNS = ("setting", "default", "allowed", "what it does")

_UNITS = ((1024**3, "GiB"), (1024**2, "MiB"), (1024, "KiB"))


def settings_reference() -> str:
    """One table a section: the plain settings first."""
    schema = Settings.model_json_schema()
    sections: dict[str, dict[str, Any]] = schema["$defs"]
    properties: dict[str, dict[str, Any]] = schema["properties"]
    plain = {name: field for name, field in properties.items() if "$ref" not in field}
    parts = ["## General", table(_COLUMNS, list(_rows(plain, "")))]
    for name, field in properties.items():
        if "$ref" not in field:
            continue
        section = sections[field["$ref"].rsplit("/", 1)[-1]]
        parts += [f"## `{name}`", section["description"]]
        parts.append(table(_COLUMNS, list(_rows(section["properties"], f"{name}."))))
    return "\n\n".join(parts)


def setting_names() -> list[str]:
    """Every setting, as `section.name`."""
    schema = Settings.model_json_schema()
    names: list[str] = []
    for name, field in schema["properties"].items():
        if "$ref" in field:
            section = schema["$defs"][field["$ref"].rsplit("/", 1)[-1]]
            names += [f"{name}.{inner}" for inner in section["properties"]]
        else:
            names.append(name)
    return names


def _rows(fields: dict[str, dict[str, Any]], prefix: str) -> Iterator[tuple[object, ...]]:
    for name, field in fields.items():
        path = prefix + name
        variable = origin_of(path) + ("__…" if _is_map(field) else "")
        shown = f"`{path}`<br>`{variable}`"
        yield shown, _default(name, field), _allowed(field), field["description"]


def _is_map(field: dict[str, Any]) -> bool:
    return field.get("type") == "object"


def _default(name: str, field: dict[str, Any]) -> str:
    value = field.get("default")
    if value in ("", None, [], ()):
        return "empty"
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if name.endswith("_bytes"):
        for size, unit in _UNITS:
            if value % size == 0:
                return f"`{value}` ({value // size} {unit})"
    return f"`{value}`"


def _allowed(field: dict[str, Any]) -> str:
    if "enum" in field:
        return ", ".join(f"`{value}`" for value in field["enum"])
    if _is_map(field) and field["additionalProperties"] is not True:
        return "paths and what holds for them"
    kind = {
        "integer": "whole number",
        "number": "number",
        "array": "list (in the environment: with commas, or JSON)",
        "boolean": "`true`, `false`",
        "object": "any names and values",
        "string": "text",
    }[field["type"]]
    if field.get("format") == "password":
        return "secret text"
    bounds = [
        f"{words} {_number(field[key])}"
        for key, words in (
            ("minimum", "at least"),
            ("exclusiveMinimum", "above"),
            ("maximum", "at most"),
        )
        if key in field
    ]
    if "pattern" in field:
        bounds.append(f"like `{field['pattern']}`")
    return ", ".join([kind, *bounds])


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)
