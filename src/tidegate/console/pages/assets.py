"""The files that pages load: fonts, styles, scripts. Their address changes with their content, so they are kept for good."""

import hashlib
from dataclasses import dataclass
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

PREFIX = "/console/static"
_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "woff2": "font/woff2",
}


@dataclass(frozen=True, slots=True)
class Assets:
    """All files by name, and the version that stands in their address."""

    contents: dict[str, bytes]
    version: str

    @classmethod
    def load(cls) -> "Assets":
        folder = files("tidegate.console.pages") / "static"
        contents = {
            entry.name: entry.read_bytes()
            for entry in sorted(folder.iterdir(), key=lambda entry: entry.name)
            if entry.name.rpartition(".")[2] in _TYPES
        }
        digest = hashlib.sha256()
        for name, content in contents.items():
            digest.update(name.encode() + b"\0" + content)
        return cls(contents, digest.hexdigest()[:12])

    def address(self, name: str) -> str:
        """Where a page finds a file. Raises KeyError if there is none of that name."""
        _ = self.contents[name]
        return f"{PREFIX}/{self.version}/{name}"

    def route(self) -> Route:
        async def answer(request: Request) -> Response:
            name = request.path_params["name"]
            content = self.contents.get(name)
            if content is None:
                return Response(status_code=404)
            kept = "public, max-age=31536000, immutable"
            if request.path_params["version"] != self.version:
                kept = "no-store"
            media_type = _TYPES[name.rpartition(".")[2]]
            return Response(content, media_type=media_type, headers={"Cache-Control": kept})

        return Route(f"{PREFIX}/{{version}}/{{name}}", answer)
