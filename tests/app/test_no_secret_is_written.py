"""A full run of the real service with a secret in every place that has one; then all it wrote is searched for them.

Searched: log lines, every file that was written (engine and catalog, their write-ahead logs included), metrics, each
answer of the operations API and the console, each command's output, and what the third party and Port were told that
should not know. A word in the clear is searched for too, so that an empty search cannot pass.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import HTTPRedirectHandler, Request, build_opener

import pytest

from tests.app.service_process import BLUEPRINTS, MAPPING, Service, tidegate, write_integration
from tidegate.testing.port_stub import PortStub

MAIN = """
from pathlib import Path
from tidegate import AbstractWebhookProcessor, Integration, WebhookEventRawResults
from tidegate.verify import hmac_signature

integration = Integration(Path(__file__).parent, identifier="tests")
config = lambda name: lambda: integration.config[name]


class IssueProcessor(AbstractWebhookProcessor):
    initial_retry_delay_seconds = 0.01
    max_retries = 1

    async def should_process_event(self, event):
        return True

    async def get_matching_kinds(self, event):
        return ["issue"]

    async def authenticate(self, payload, headers):
        return payload.get("id") != "stranger"

    async def validate_payload(self, payload):
        return True

    def resource_key(self, event):
        return str(event.payload["id"])

    async def handle_event(self, payload, resource_config):
        values = self.integration.config
        api = self.integration.http.api(values["api_url"], headers={"Authorization": f"Bearer {values['api_token']}"})
        return WebhookEventRawResults([await api.get_json(f"issues/{payload['id']}")], [])


integration.add_webhook_processor(
    "/webhook", IssueProcessor, verify=hmac_signature("X-Signature", config("webhook_secret"))
)
"""
CLEAR = "a-title-in-the-clear"
SECRETS = {
    "webhook": "canary-webhook-5f0c",
    "api": "canary-api-9b1d",
    "admin": "canary-admin-token-77aa",
    "port": "canary-port-client-31",
    "url": "canary-url-password-2e",
    "authorization": "canary-sender-authorization",
    "cookie": "canary-sender-cookie",
    "proxy": "canary-proxy-token",
    "guess": "canary-wrong-admin-token",
}


class ThirdParty(BaseHTTPRequestHandler):
    """Answers issues; issue `echo` is a 400 that quotes the credential, `broken` a 500, others are fine."""

    def do_GET(self) -> None:
        issue = self.path.rpartition("/")[2]
        status = {"echo": 400, "broken": 500}.get(issue, 200)
        shown = {"error": f"the credential {self.headers['Authorization']} may not read this"}
        fine = {"id": issue, "title": CLEAR, "state": "open"}
        body = json.dumps(fine if status == 200 else shown).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


class NoRedirects(HTTPRedirectHandler):
    def redirect_request(self, *_: object) -> None: ...


OPENER = build_opener(NoRedirects)


@contextmanager
def third_party() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), ThirdParty)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def port(client_secret: str) -> Iterator[PortStub]:
    """The stub in a thread of its own, with its event loop."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    stub = PortStub(client_secret=client_secret)
    asyncio.run_coroutine_threadsafe(stub.start(), loop).result(10)
    yield stub
    asyncio.run_coroutine_threadsafe(stub.close(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


@dataclass
class Written:
    """Everything that was written, by where."""

    texts: dict[str, bytes] = field(default_factory=dict)
    signatures: list[str] = field(default_factory=list)

    def add(self, where: str, *parts: bytes | str) -> None:
        self.texts[where] = b"".join(part if isinstance(part, bytes) else part.encode() for part in parts)

    def where(self, word: str) -> list[str]:
        """Where a word stands, as it is or in a spelling that the wire uses."""
        raw = word.encode()
        spellings = {raw, base64.b64encode(raw).rstrip(b"="), quote(word).encode(), raw.hex().encode()}
        return [place for place, text in self.texts.items() if any(each in text for each in spellings)]


def ask(written: Written, service: Service, method: str, path: str, **headers: str) -> bytes:
    """Ask the admin listener and keep the answer, headers and all."""
    data = headers.pop("data", None)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    request = Request(service.admin + path, data.encode() if data else None, named, method=method)
    try:
        with OPENER.open(request, timeout=10) as answer:
            body = answer.read()
    except HTTPError as refused:
        answer, body = refused, refused.read()
        refused.close()
    written.add(f"{method} {path} {headers.get('Cookie', '')[:8]}", str(answer.headers), body)
    return body


def deliver(written: Written, service: Service, issue: str, *, signed: bool = True) -> int:
    body = json.dumps({"id": issue, "api_key": "in the payload"}).encode()
    signature = hmac.new(SECRETS["webhook"].encode(), body, hashlib.sha256).hexdigest()
    if not signed:
        signature = signature[::-1]
    written.signatures.append(signature)
    headers = {
        "Content-Type": "application/json",
        "X-Signature": signature,
        "Authorization": f"Bearer {SECRETS['authorization']}",
        "Cookie": f"session={SECRETS['cookie']}",
        "X-Proxy-Token": SECRETS["proxy"],
    }
    try:
        with OPENER.open(Request(f"{service.webhooks}/webhook", body, headers), timeout=10) as answer:
            return answer.status
    except HTTPError as refused:
        refused.close()
        return refused.code


def settings_of(directory: Path, api_url: str, stub: PortStub | None) -> dict[str, str]:
    """Secrets from files and from the environment."""
    (directory / "webhook-secret").write_text(SECRETS["webhook"] + "\n")
    own = "TIDEGATE__INTEGRATION__CONFIG__"
    values = {
        f"{own}WEBHOOK_SECRET__FILE": str(directory / "webhook-secret"),
        f"{own}API_TOKEN": SECRETS["api"],
        f"{own}API_URL": api_url,
        f"{own}MIRROR": f"https://user:{SECRETS['url']}@mirror.invalid/",
        "TIDEGATE__ADMIN__TOKEN": SECRETS["admin"],
        "TIDEGATE__LOG__LEVEL": "debug",
        "TIDEGATE__LOG__FORMAT": "json",
        "TIDEGATE__PORT__CLIENT_ID": "stub-client-id",
        "TIDEGATE__PORT__CLIENT_SECRET": SECRETS["port"],
    }
    if stub is not None:
        values |= {"TIDEGATE__TARGET": "port", "TIDEGATE__PORT__BASE_URL": stub.url}
    return values


def use(written: Written, service: Service) -> None:
    """Everything that can be asked of a running service, with good credentials and with bad ones."""
    bearer = f"Bearer {SECRETS['admin']}"
    assert [deliver(written, service, issue) for issue in ("1", "1", "echo", "broken", "stranger")] == [
        202
    ] * 5
    assert deliver(written, service, "2", signed=False) == 401
    service.settle()
    for path in (
        "status",
        "overview",
        "events",
        "events?text=echo",
        "runs",
        "runs?state=dead",
        "writes/issue/1",
    ):
        ask(written, service, "GET", f"/api/{path}", Authorization=bearer)
    events = json.loads(ask(written, service, "GET", "/api/events?limit=9", Authorization=bearer))["events"]
    runs = json.loads(ask(written, service, "GET", "/api/runs?limit=9", Authorization=bearer))["runs"]
    assert {event["state"] for event in events} >= {"applied", "dead", "rejected"}
    form, origin = "application/x-www-form-urlencoded", service.admin
    ask(
        written,
        service,
        "POST",
        "/console/login",
        Content_Type=form,
        Origin=origin,
        data=f"token={SECRETS['guess']}",
    )
    signed_in = Request(
        f"{service.admin}/console/login",
        urlencode({"token": SECRETS["admin"]}).encode(),
        {"Content-Type": form, "Origin": origin},
    )
    try:
        OPENER.open(signed_in, timeout=10)
    except HTTPError as redirect:
        cookie = redirect.headers["Set-Cookie"].partition(";")[0]
        redirect.close()
    pages = ["", "/events", "/deadletters", "/entities", *(f"/events/{event['id']}" for event in events)]
    for page in pages:
        ask(written, service, "GET", f"/console{page}", Cookie=cookie)
        ask(written, service, "GET", f"/console{page}")
    for path in [*(f"events/{event['id']}" for event in events), *(f"runs/{run['id']}" for run in runs)]:
        ask(written, service, "GET", f"/api/{path}", Authorization=bearer)
    ask(written, service, "GET", "/metrics", Authorization=bearer)
    ask(written, service, "GET", "/api/status", Authorization=f"Bearer {SECRETS['guess']}")
    json_type = "application/json"
    # An answer between the failures: three in a row would pause the host for as long as nothing else asks it.
    assert deliver(written, service, "3") == 202
    service.settle()
    replay = f"/api/events/{events[0]['id']}/replay"
    ask(written, service, "POST", replay, Authorization=bearer, Content_Type=json_type)
    redrive = "/api/deadletters/redrive"
    ask(written, service, "POST", redrive, Authorization=bearer, Content_Type=json_type, data='{"all": true}')
    service.settle()


def command_lines(directory: Path, env: dict[str, str], service: Service) -> Iterator[tuple[str, bytes]]:
    """Each command's output, of one that works and of one that fails."""
    event = json.loads(tidegate("events", "list", "--json", cwd=directory, env=env).stdout)[0]["id"]
    base = service.webhooks.removesuffix("/integration")
    sample = b'{"id": "3"}'
    for line in (
        "status",
        "config",
        "config --json",
        "events list",
        f"events show {event}",
        f"events why {event}",
        "entities show issue 1",
        "entities why issue 1",
        "deadletters list",
        "deadletters list --json",
        "doctor main:integration",
        "doctor main:integration --json",
        f"send /webhook --url {base} --integration main:integration",
        f"send /absent --url {base}",
        "run main:integration --log-level absent",
    ):
        ended = tidegate(*line.split(), cwd=directory, env=env, stdin=sample)
        yield f"tidegate {line}", ended.stdout + ended.stderr


@pytest.mark.slow
@pytest.mark.parametrize("target", ["catalog", "port"])
def test_no_secret_is_found_in_anything_that_was_written(tmp_path: Path, target: str) -> None:
    directory = write_integration(tmp_path / "integration", MAIN, MAPPING, BLUEPRINTS)
    given = {path for path in directory.rglob("*") if path.is_file()}
    written = Written()
    with ExitStack() as stack:
        api_url = stack.enter_context(third_party())
        stub = stack.enter_context(port(SECRETS["port"])) if target == "port" else None
        env = settings_of(directory, api_url, stub)
        given.add(directory / "webhook-secret")
        with Service(directory, env) as service:
            use(written, service)
            for line, output in command_lines(directory, env, service):
                written.add(line, output)
            service.settle()
            for path in filter(Path.is_file, directory.rglob("*.db*")):
                written.add(f"{path.name} while it runs", path.read_bytes())
            assert service.terminate() == 0
        written.add("log", "".join(service.log))
        if stub is not None:
            told = [(request.path, request.query, request.body) for request in stub.requests]
            assert (
                "/v1/auth/access_token",
                {},
                {"clientId": "stub-client-id", "clientSecret": SECRETS["port"]},
            ) in told
            written.add("Port", repr([each for each in told if each[0] != "/v1/auth/access_token"]))
    for path in {path for path in directory.rglob("*") if path.is_file()} - given:
        written.add(str(path.relative_to(directory)), path.read_bytes())

    found = {name: written.where(secret) for name, secret in SECRETS.items()}
    found |= {f"signature {each[:6]}": written.where(each) for each in written.signatures}
    assert {name: places for name, places in found.items() if places} == {}
    shown = {"GET /api/writes/issue/1 "} | (
        {"tidegate entities show issue 1"} if target == "catalog" else set()
    )
    assert shown <= set(written.where(CLEAR))
    assert any("tidegate.db" in place for place in written.where(CLEAR))
    assert [
        where for where, text in written.texts.items() if where.startswith("tidegate ") and not text
    ] == []
    assert len(written.texts) > 50
