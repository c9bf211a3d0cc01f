"""`tidegate send`: post a sample event, signed as its sender would sign it."""

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tidegate import verify
from tidegate.app.clock import SystemClock, new_id
from tidegate.app.outgoing import fetch_client
from tidegate.authoring import Integration
from tidegate.cli.loading import load_integration
from tidegate.cli.options import AppDir, ConfigFile
from tidegate.cli.output import EXIT_FAILED, out
from tidegate.config import Settings, load_settings
from tidegate.core.errors import ConfigurationError, UnavailableError
from tidegate.core.verification import SignedRequest, Verifier
from tidegate.fetch import HostBreakers
from tidegate.telemetry import Fanout
from tidegate.verify.signing import sign

TIMEOUT_SECONDS = 30.0


def send_command(
    path: Annotated[str, typer.Argument(help="The webhook path, as /webhook.")],
    data: Annotated[
        Path | None, typer.Option("--data", "-d", help="The body's file; - or none: standard input.")
    ] = None,
    url: Annotated[
        str | None,
        typer.Option("--url", help="The ingress (default: from the settings), as http://host:8000."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--integration", help="Sign as this integration's verifier of the path asks: MODULE:ATTRIBUTE."
        ),
    ] = None,
    sender: Annotated[
        str | None, typer.Option("--sender", help="Sign as this sender does: github, slack, mlflow, …")
    ] = None,
    secret_env: Annotated[
        str | None,
        typer.Option("--secret-env", help="The environment variable that holds the sender's secret."),
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", help="A header, as 'Name: value'.")
    ] = None,
    delivery_id: Annotated[str | None, typer.Option("--delivery-id", help="Default: a fresh one.")] = None,
    content_type: Annotated[str, typer.Option("--content-type")] = "application/json",
    app_dir: AppDir = Path(),
    config: ConfigFile = None,
) -> None:
    """Post a sample event and print the answer. Exits with 1 if it is not accepted."""
    settings = load_settings(config)
    body = _read(data)
    base = (url or f"http://{settings.ingress.host}:{settings.ingress.port}").rstrip("/")
    address = f"{base}/integration/{path.strip('/')}"
    headers = {"Content-Type": content_type, **_headers(header or [])}
    status, answer = asyncio.run(
        _send(
            settings,
            address,
            headers,
            body,
            delivery_id or new_id(),
            reference,
            sender,
            secret_env,
            path,
            app_dir,
        )
    )
    out.print(answer, markup=False)
    if status >= 300:
        raise typer.Exit(EXIT_FAILED)


async def _send(
    settings: Settings,
    address: str,
    headers: dict[str, str],
    body: bytes,
    delivery_id: str,
    reference: str | None,
    sender: str | None,
    secret_env: str | None,
    path: str,
    app_dir: Path,
) -> tuple[int, str]:
    clock = SystemClock()
    async with fetch_client(settings, HostBreakers(clock, Fanout()), clock) as http:
        verifier: Verifier | None = None
        if sender is not None:
            verifier = _preset(sender, secret_env)
        elif reference is not None:
            integration = load_integration(reference, app_dir)
            integration.bind(settings.integration.config, http)
            verifier = _registered(integration, path)
        if verifier is not None:
            content_type = headers.pop("Content-Type")
            request: SignedRequest = sign(
                verifier,
                body,
                now=clock.now(),
                delivery_id=delivery_id,
                url=address,
                content_type=content_type,
                headers=headers,
            )
            address, headers, body = request.url, dict(request.headers), request.body
        return await _post(address, headers, body)


async def _post(address: str, headers: dict[str, str], body: bytes) -> tuple[int, str]:
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=TIMEOUT_SECONDS)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.post(address, data=body, headers=headers) as response,
        ):
            return response.status, await response.text()
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise UnavailableError(f"{address} cannot be reached: {error}: is `tidegate run` running?") from None


def _read(data: Path | None) -> bytes:
    if data is None or str(data) == "-":
        return sys.stdin.buffer.read()
    try:
        return data.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"--data {data} cannot be read: {error.strerror}") from None


def _headers(pairs: list[str]) -> dict[str, str]:
    headers: dict[str, str] = {}
    for pair in pairs:
        name, colon, value = pair.partition(":")
        if not (name.strip() and colon):
            raise typer.BadParameter(f"{pair!r} is not of the form 'Name: value'", param_hint="--header")
        headers[name.strip()] = value.strip()
    return headers


def _preset(sender: str, secret_env: str | None) -> Verifier:
    preset = getattr(verify, sender, None) if sender in verify.__all__ else None
    if preset is None:
        raise typer.BadParameter(
            f"{sender!r} is not known: see docs/reference/verify.md", param_hint="--sender"
        )
    secret = os.environ.get(secret_env or "")
    if not secret:
        raise typer.BadParameter(
            "name the variable that holds the sender's secret", param_hint="--secret-env"
        )
    try:
        return preset(secret=secret)
    except TypeError:
        raise typer.BadParameter(
            f"{sender} takes more than a secret: use --integration", param_hint="--sender"
        ) from None


def _registered(integration: Integration, path: str) -> Verifier | None:
    normal = "/" + path.strip("/")
    known = [registration for registration in integration.registrations if registration.path == normal]
    if not known:
        paths = ", ".join(dict.fromkeys(registration.path for registration in integration.registrations))
        raise ConfigurationError(f"no processor is registered under {normal}; there are: {paths or 'none'}")
    return next((registration.verify for registration in known if registration.verify is not None), None)
