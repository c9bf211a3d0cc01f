"""Templates into answers. Values are escaped unless they are Markup; a name that a template misspells is an error."""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from tidegate.console.pages import humane
from tidegate.console.pages.assets import Assets
from tidegate.console.pages.charts import sparkline
from tidegate.console.pages.json_view import compact_json, json_tree, pretty_json
from tidegate.core.overviews import ErrorLine
from tidegate.core.ports import Clock


class Renderer:
    """Renders whole pages, or one block of a page for the script that asks for it."""

    def __init__(self, assets: Assets, clock: Clock, shared: Callable[[], Mapping[str, Any]]) -> None:
        self._clock = clock
        self._shared = shared
        self._templates: dict[str, Any] = {}
        self._environment: Any = Environment(
            loader=PackageLoader("tidegate.console.pages"),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters |= {
            "count": humane.count_text,
            "duration": humane.duration_text,
            "size": humane.size_text,
            "rate": humane.rate_text,
            "rate_parts": humane.rate_parts,
            "age": humane.age_text,
            "ago": self._ago,
            "sparkline": sparkline,
            "example_address": _example_address,
            "json_tree": json_tree,
            "json": compact_json,
            "pretty": pretty_json,
        }
        self._environment.globals |= {"asset": assets.address}
        self._environment.globals |= {"parts": self._environment.get_template("parts.html").module}

    async def _compiled(self, name: str) -> Any:
        """A template that is used for the first time: compiling it takes long enough to hold up webhooks."""
        found = await asyncio.to_thread(self._environment.get_template, name)
        self._templates[name] = found
        return found

    def _ago(self, time: datetime) -> Markup:
        exact = humane.exact_text(time)
        return Markup('<time datetime="{}" title="{}" data-ago>{}</time>').format(
            time.isoformat(), exact, humane.ago_text(time, self._clock.now())
        )

    async def answer(
        self,
        request: Request,
        template: str,
        values: Mapping[str, Any],
        *,
        fragment: str | None = None,
        status: int = 200,
        headers: Mapping[str, str] | None = None,
    ) -> Response:
        """The page; or its block `fragment`, if a script asks for a part."""
        found = self._templates.get(template) or await self._compiled(template)
        context = {**self._shared(), "here": request.url.path, **values}
        if fragment is not None and asks_for_a_part(request):
            text = "".join(found.blocks[fragment](found.new_context(context)))
        else:
            text = found.render(context)
        return HTMLResponse(text, status, headers={"Vary": "HX-Request", **(headers or {})})


def asks_for_a_part(request: Request) -> bool:
    """True if the page's script sent this to renew a part of the page."""
    return request.headers.get("hx-request") == "true" and "hx-boosted" not in request.headers


def _example_address(error: ErrorLine) -> str:
    """The page of an error's last case: runs have numbers, events have ids."""
    return f"/console/{'runs' if error.example.isdecimal() else 'events'}/{error.example}"
