"""The reference of the command line, from the commands themselves."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, TypeAlias

import typer.main

from scripts.docs_reference.blocks import table
from tidegate.cli.main import app

Command: TypeAlias = Any
"""A command or parameter of the library that Typer is built on, which it keeps to itself."""


def commands_reference() -> str:
    """Every command with its arguments and options."""
    return "\n\n".join(_section(names, command) for names, command in all_commands())


def all_commands() -> list[tuple[str, Command]]:
    """Every command that does something, under its full name, in the order of `tidegate --help`."""
    root = typer.main.get_command(app)
    return list(_leaves("tidegate", root))


def _leaves(name: str, command: Command) -> Iterator[tuple[str, Command]]:
    inner: dict[str, Command] = getattr(command, "commands", {})
    if not inner:
        yield name, command
    for part, child in inner.items():
        yield from _leaves(f"{name} {part}", child)


def _section(name: str, command: Command) -> str:
    parameters = [parameter for parameter in command.params if not parameter.hidden]
    arguments = [parameter for parameter in parameters if parameter.param_type_name == "argument"]
    options = [parameter for parameter in parameters if parameter.param_type_name == "option"]
    usage = " ".join([name, *(["[OPTIONS]"] if options else []), *map(_usage, arguments)])
    parts = [f"## {name}", " ".join((command.help or "").split()), f"```text\n{usage}\n```"]
    rows: list[tuple[object, ...]] = [
        (f"`{_metavar(parameter)}`", "required" if parameter.required else "", parameter.help)
        for parameter in arguments
    ]
    rows += [(_option(parameter), _default(parameter), parameter.help or "") for parameter in options]
    if rows:
        parts.append(table(("argument or option", "default", "what it means"), rows))
    return "\n\n".join(parts)


def _metavar(parameter: Command) -> str:
    return str(parameter.metavar or parameter.name.upper())


def _usage(parameter: Command) -> str:
    text = _metavar(parameter) + ("…" if parameter.nargs == -1 or parameter.multiple else "")
    return text if parameter.required else f"[{text}]"


def _option(parameter: Command) -> str:
    names = ", ".join(f"`{name}`" for name in parameter.opts)
    if parameter.secondary_opts:
        return f"{names} / " + ", ".join(f"`{name}`" for name in parameter.secondary_opts)
    annotation = parameter.type_descriptor.annotation
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return f"{names} " + ", ".join(str(choice.value) for choice in annotation)
    return names


def _default(parameter: Command) -> str:
    value = parameter.default
    if parameter.required:
        return "required"
    if value is None or value in ((), [], False):
        return ""
    if value is True:
        return f"`{parameter.opts[0]}`"
    return f"`{value}`"
