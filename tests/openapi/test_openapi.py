"""The OpenAPI descriptions against the code, and the real service against the descriptions, by schemathesis."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Route

from scripts.docs_reference.openapi import operations_api, reasons, webhooks
from tests.app.service_process import MAIN, Service, write_integration
from tidegate.console.mapping_routes import MappingRoutes
from tidegate.console.operations import Operations

TOKEN = "a-token-for-the-tests"
UNLISTED = "unsupported_method"
"""The guard asks for JSON before it is known that a method is not for the path: 415 where 405 is expected."""

UNGUESSABLE = "positive_data_acceptance"
"""Left out where a body that has the right shape may still mean nothing: a mapping that is no mapping."""

LENIENT = "negative_data_rejection"
"""Left out for forms, in which next to anything is allowed."""


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """With events that are applied, dead and rejected, so that ids lead somewhere."""
    main = MAIN.replace("return True\n\n    def", "return payload.get('state') != 'strange'\n\n    def")
    main = main.replace(
        "return WebhookEventRawResults", "payload['title'].strip()\n        return WebhookEventRawResults"
    )
    directory = write_integration(tmp_path_factory.mktemp("openapi") / "integration", main)
    with Service(directory, {"TIDEGATE__PROCESSES": "0", "TIDEGATE__ADMIN__TOKEN": TOKEN}) as running:
        for number, state in enumerate(["open", "closed", "strange", "open"]):
            title = 5 if number == 3 else "A title"  # which a processor cannot strip
            assert running.post({"id": number, "title": title, "state": state}) == 202
        running.settle()
        yield running
        assert running.terminate() == 0
        assert not [line for line in running.log if "Traceback" in line]


def hold_to(description: Any, url: str, directory: Path, *options: str) -> None:
    """Run schemathesis; it says what it sent where an answer is not as described."""
    file = directory / "openapi.json"
    file.write_text(json.dumps(description))
    command = [str(Path(sys.executable).parent / "schemathesis"), "run", str(file), "--url", url]
    command += ["--phases", "examples,coverage,fuzzing", "--max-examples", "25", "--seed", "20", "--no-color"]
    ended = subprocess.run([*command, *options], cwd=directory, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    tested = re.search(r"(\d+) generated, (\d+) passed", ended.stdout)
    assert tested is not None
    assert int(tested[2]) > 50


@pytest.mark.slow
def test_the_operations_api_is_as_described(service: Service, tmp_path: Path) -> None:
    description = json.loads(operations_api())
    loose = "^/api/(deadletters|mapping)/"
    token = ("--header", f"Authorization: Bearer {TOKEN}")
    exact = ("--exclude-path-regex", loose, "--exclude-checks", UNLISTED)
    hold_to(description, service.admin, tmp_path, *token, *exact)
    hold_to(
        description,
        service.admin,
        tmp_path,
        *token,
        "--include-path-regex",
        loose,
        "--exclude-checks",
        f"{UNLISTED},{UNGUESSABLE}",
    )


@pytest.mark.slow
def test_the_webhook_listener_is_as_described(service: Service, tmp_path: Path) -> None:
    description = json.loads(webhooks())
    (path,) = description["paths"]["/integration/{path}"]["post"]["parameters"]
    path["schema"] = {"type": "string", "enum": ["webhook"]}
    base = service.webhooks.removesuffix("/integration")
    hold_to(description, base, tmp_path, "--exclude-checks", LENIENT)


def test_every_route_is_described_and_every_description_has_its_route() -> None:
    nothing: Any = None
    routes = [*Operations(nothing, nothing, nothing, nothing).routes(), *MappingRoutes(nothing).routes()]
    wanted = {(re.sub(r":\w+}", "}", route.path), method) for route in routes for method in methods(route)}
    described = {
        (path, method.upper())
        for path, operations in json.loads(operations_api())["paths"].items()
        for method in operations
        if path.startswith("/api/")
    }
    assert described == wanted


def methods(route: Route) -> set[str]:
    return set(route.methods or ()) - {"HEAD"}


def test_every_status_of_the_webhook_listener_is_described() -> None:
    operation = json.loads(webhooks())["paths"]["/integration/{path}"]["post"]
    assert set(operation["responses"]) == {"202", *(str(status) for status, _ in reasons())}
    assert len(reasons()) > 20
