"""The service under attack: a real `tidegate run`, and raw connections to it."""

import hashlib
import hmac
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.app.service_process import MAIN, Service, write_integration

SECRET = "the-secret-of-the-attacked-path"
TOKEN = "the-token-of-the-admin-listener"
VERIFIED = 'integration.add_webhook_processor("/webhook", IssueProcessor, verify=github("' + SECRET + '"))'
OPEN = '\n\nclass OpenProcessor(IssueProcessor):\n    pass\n\n\nintegration.add_webhook_processor("/open", OpenProcessor)\n'
BODY = b'{"id": "legitimate", "title": "t", "state": "open"}'


@contextmanager
def service(**settings: str) -> Iterator[Service]:
    """One path that is verified, and one that anybody may send to. Ends with an error if the service has died."""
    main = MAIN.replace('integration.add_webhook_processor("/webhook", IssueProcessor)', VERIFIED + OPEN)
    main = main.replace("import asyncio, os", "import asyncio, os\nfrom tidegate.verify import github")
    env = {f"TIDEGATE__{name}": value for name, value in settings.items()}
    env |= {"TIDEGATE__ADMIN__TOKEN": TOKEN, "TIDEGATE__LOG__LEVEL": "warning"}
    with (
        TemporaryDirectory() as directory,
        Service(write_integration(Path(directory) / "attacked", main), env) as running,
    ):
        yield running
        if running.process.poll() is not None:
            raise RuntimeError("the service died")
        running.terminate()


def address(running: Service) -> tuple[str, int]:
    host, _, port = running.webhooks.removeprefix("http://").removesuffix("/integration").partition(":")
    return host, int(port)


def say(running: Service, data: bytes, *, source: str = "127.0.0.1", seconds: float = 15.0) -> bytes:
    """Everything that the service says to these bytes on a connection of their own; empty if it hangs up."""
    try:
        with socket.create_connection(address(running), seconds, (source, 0)) as wire:
            wire.sendall(data)
            wire.shutdown(socket.SHUT_WR)
            said = bytearray()
            while piece := wire.recv(65_536):
                said += piece
            return bytes(said)
    except OSError:
        return b""


def signed(body: bytes, path: str = "/webhook", secret: str = SECRET) -> bytes:
    """A delivery as its sender makes it."""
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    return request(body, path, f"X-Hub-Signature-256: sha256={signature}")


def request(body: bytes, path: str = "/webhook", *headers: str, kind: str = "application/json") -> bytes:
    lines = [
        f"POST /integration{path} HTTP/1.1",
        "Host: h",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
    ]
    return "\r\n".join([*lines, *headers, "\r\n"]).encode() + body
