"""Where an interrupt may land: in the author's code and what it calls, never in the middle of ours."""

import sys
from collections.abc import Callable
from functools import partial
from types import FrameType

import pytest

from tidegate.worker.stalls import authors_frames

Call = Callable[[Callable[[], FrameType]], FrameType]


def calling(module: str) -> Call:
    """A function of that module, which calls what it is given."""
    names: dict[str, object] = {"__name__": module}
    exec("def call(inner):\n    return inner()\n", names)
    return names["call"]  # type: ignore[return-value]


def stack(*modules: str) -> FrameType:
    """A stack with a frame of each of these modules, the innermost last."""
    innermost: dict[str, object] = {"__name__": modules[-1], "sys": sys}
    exec("def frame():\n    return sys._getframe()\n", innermost)
    inner: Callable[[], FrameType] = innermost["frame"]  # type: ignore[assignment]
    for module in reversed(modules[:-1]):
        inner = partial(calling(module), inner)
    return inner()


OURS = ("asyncio.runners", "tidegate.worker.dispatcher", "tidegate.pipeline.processing")


@pytest.mark.parametrize(
    ("modules", "frames"),
    [
        ((*OURS, "main"), 1),
        ((*OURS, "main", "requests.api", "socket"), 3),
        (("asyncio.runners", "main"), 1),
        (("asyncio.runners", "tidegate.pipeline.routing", "tidegate.authoring.integration", "main"), 1),
        (("asyncio.runners", "tidegate.ingress.verifying", "main"), 1),
        (OURS, 0),
        ((*OURS, "main", "tidegate.fetch.client"), 0),
        ((*OURS, "main", "asyncio.tasks"), 0),
        ((*OURS, "main", "aiohttp.client", "socket"), 0),
        ((*OURS, "contextlib"), 0),
        ((*OURS, "tidegate.engines.sqlite.engine", "json"), 0),
        (("asyncio.runners", "logging"), 0),
    ],
)
def test_only_authors_frames_are_interrupted(modules: tuple[str, ...], frames: int) -> None:
    innermost = stack(*modules)
    assert innermost.f_globals["__name__"] == modules[-1]
    assert len(authors_frames(innermost)) == frames
