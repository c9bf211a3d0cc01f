"""`tidegate doctor`: is everything set up, and if not, how is it mended?"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import typer

from tidegate.app.adapters import (
    COMMAND_PATIENCE_SECONDS,
    catalog_path,
    engine_path,
    mapper_limits,
    open_engine,
    open_target,
)
from tidegate.app.clock import SystemClock
from tidegate.app.listeners import check_admin
from tidegate.app.outgoing import fetch_client
from tidegate.authoring import Integration
from tidegate.authoring.blueprints import read_blueprints
from tidegate.authoring.openness import open_paths
from tidegate.cli.loading import load_integration
from tidegate.cli.options import AppDir, AsJson, ConfigFile, Reference
from tidegate.cli.output import EXIT_FAILED, out, print_json
from tidegate.config import Settings, load_settings
from tidegate.config.show import without_password
from tidegate.core.entities import EntityRef
from tidegate.core.errors import ConfigurationError, TidegateError
from tidegate.fetch import HostBreakers
from tidegate.mapping import MappingFile, check_blueprints, check_expressions, read_mapping
from tidegate.telemetry import Fanout
from tidegate.verify import check_verifier

REACH_SECONDS = 5.0
ANYBODY = (
    "no verify=, and authenticate() looks at nothing: whoever knows the URL can send events;\n"
    "see tidegate.verify for the senders that are known"
)
OF_ONE_MACHINE = (
    "a file of this machine, but machines may share the engine: each would fill a catalog of its own;\n"
    "unset TIDEGATE__CATALOG__PATH to have the catalog in the engine's database"
)
AFTERWARDS = "authenticate() decides, after the event is stored; verify= would refuse it before"


@dataclass(frozen=True, slots=True)
class Finding:
    """One check: what was looked at, whether it is fine, and what to do if not."""

    check: str
    ok: bool
    detail: str
    warning: bool = False


def doctor_command(
    reference: Reference, app_dir: AppDir = Path(), config: ConfigFile = None, json: AsJson = False
) -> None:
    """Check settings, mapping, blueprints, verifiers, engine, target and the third party. Exits with 1 if
    something must be mended.
    """
    settings = load_settings(config)
    integration = load_integration(reference, app_dir)
    findings = asyncio.run(_all(integration, settings))
    if json:
        print_json(
            [{"check": f.check, "ok": f.ok, "warning": f.warning, "detail": f.detail} for f in findings]
        )
    else:
        for finding in findings:
            mark = (
                "[green]ok[/]  " if finding.ok else "[yellow]warn[/]" if finding.warning else "[red]bad[/] "
            )
            out.print(f"{mark}  {finding.check}")
            for line in finding.detail.splitlines():
                out.print(f"        {line}", markup=False)
    if any(not finding.ok and not finding.warning for finding in findings):
        raise typer.Exit(EXIT_FAILED)


async def _all(integration: Integration, settings: Settings) -> list[Finding]:
    clock = SystemClock()
    async with fetch_client(settings, HostBreakers(clock, Fanout()), clock) as http:
        integration.bind(settings.integration.config, http)
        return [finding async for finding in _examine(integration, settings)]


async def _examine(integration: Integration, settings: Settings) -> AsyncIterator[Finding]:
    yield Finding(
        "settings", True, f"target {settings.target}, engine {without_password(settings.engine.url)}"
    )
    yield _admin(settings)
    for finding in _verifiers(integration):
        yield finding
    try:
        mapping = read_mapping(integration.mapping_file)
        blueprints = read_blueprints(integration.blueprints_file)
    except ConfigurationError as error:
        yield Finding("mapping", False, str(error))
        return
    yield await _expressions(mapping, settings)
    problems = [str(problem) for problem in check_blueprints(mapping.configs, blueprints)]
    yield Finding("mapping against blueprints", not problems, "\n".join(problems), warning=True)
    yield await _engine(settings)
    yield await _target(integration, settings, mapping)
    async for finding in _third_parties(settings):
        yield finding


def _admin(settings: Settings) -> Finding:
    try:
        check_admin(settings)
    except ConfigurationError as error:
        return Finding("admin listener", False, str(error))
    return Finding("admin listener", True, f"{settings.admin.host}:{settings.admin.port}")


def _verifiers(integration: Integration) -> list[Finding]:
    if not integration.registrations:
        return [Finding("processors", False, "there is none: call integration.add_webhook_processor(…)")]
    unguarded = open_paths(integration)
    verified = {each.path for each in integration.registrations if each.verify is not None}
    findings = [Finding(path, False, ANYBODY, warning=True) for path in unguarded]
    for registration in integration.registrations:
        name = f"{registration.path} → {registration.name}"
        if registration.verify is None:
            if registration.path not in {*unguarded, *verified}:
                findings.append(Finding(name, True, AFTERWARDS))
            continue
        try:
            check_verifier(registration.verify)
        except ConfigurationError as error:
            findings.append(Finding(name, False, str(error)))
        else:
            findings.append(Finding(name, True, f"verified as {registration.verify.name}"))
    return findings


async def _expressions(mapping: MappingFile, settings: Settings) -> Finding:
    try:
        problems = await check_expressions(mapping.configs, mapper_limits(settings))
    except TidegateError as error:
        return Finding("mapping expressions", False, str(error))
    lines = [str(problem) for problem in problems]
    return Finding(
        "mapping expressions", not lines, "\n".join(lines) or f"{len(mapping.configs)} resource configs"
    )


async def _engine(settings: Settings) -> Finding:
    where = engine_path(settings) or without_password(settings.engine.url)
    try:
        async with AsyncExitStack() as stack:
            engine = await open_engine(stack, settings, patience_seconds=COMMAND_PATIENCE_SECONDS)
            backlog = await engine.backlog()
    except TidegateError as error:
        return Finding("engine", False, str(error))
    dead = f", {backlog.dead_runs} dead letters" if backlog.dead_runs else ""
    return Finding("engine", True, f"{where}: {backlog.unfinished} unfinished{dead}")


async def _target(integration: Integration, settings: Settings, mapping: MappingFile) -> Finding:
    name = f"target {settings.target}"
    patience = COMMAND_PATIENCE_SECONDS
    try:
        async with AsyncExitStack() as stack:
            target = await open_target(
                stack, integration, settings, mapping.options, patience_seconds=patience
            )
            await target.owned([EntityRef("_tidegate", "doctor")])
    except TidegateError as error:
        return Finding(name, False, str(error))
    if settings.target == "port":
        return Finding(name, True, settings.port.base_url)
    path = catalog_path(settings)
    if path is not None and engine_path(settings) is None:
        return Finding(name, False, f"{path}: {OF_ONE_MACHINE}", warning=True)
    return Finding(name, True, str(path or without_password(settings.engine.url)))


async def _third_parties(settings: Settings) -> AsyncIterator[Finding]:
    """Every URL among the integration's own values should answer, whatever the status."""
    import aiohttp

    for key, value in settings.integration.config.items():
        if not (isinstance(value, str) and value.startswith(("http://", "https://"))):
            continue
        parts = urlsplit(value)
        shown = f"{parts.scheme}://{parts.hostname}" + (f":{parts.port}" if parts.port else "")
        name = f"third party ({key})"
        try:
            timeout = aiohttp.ClientTimeout(total=REACH_SECONDS)
            async with aiohttp.ClientSession(timeout=timeout) as session, session.get(value) as response:
                yield Finding(name, True, f"{shown} answers ({response.status})")
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            reason = str(error) or type(error).__name__
            yield Finding(name, False, f"{shown} cannot be reached: {reason}", warning=True)
