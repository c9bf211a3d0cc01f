"""A real service under load, and a real browser to look at it."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from tests.browser.tracker import Load, Tracker, started

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
PATIENCE_MS = 20_000  # for machines that have more to do
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}

Open = Callable[..., Page]


def chromium() -> str | None:
    """The browser's program, if there is one."""
    return next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    program = chromium()
    if program is None:
        pytest.skip("no Chromium: `scripts/bootstrap browser` installs it where it may")
    expect.set_options(timeout=PATIENCE_MS)
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tracker]:
    made = started(tmp_path_factory.mktemp("tracker"))
    with Load(made, per_second=20):
        yield made
    made.service.kill()


@pytest.fixture
def open_page(browser: Browser, tracker: Tracker) -> Iterator[Open]:
    """Opens pages of the console. Whatever their scripts or the policy complain about fails the test."""
    complaints: list[str] = []
    contexts: list[BrowserContext] = []

    def opened(path: str, *, dark: bool = False, phone: bool = False) -> Page:
        context = browser.new_context(
            viewport=PHONE if phone else DESKTOP, color_scheme="dark" if dark else "light", has_touch=phone
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{tracker.service.admin}{path}")
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []


@pytest.fixture
def picture() -> Callable[[Page, str], None] | None:
    """Keeps a picture of a page for the documentation, if TIDEGATE_SCREENSHOTS names a folder."""
    named = os.environ.get("TIDEGATE_SCREENSHOTS")
    if named is None:
        return None
    folder = Path(named)
    folder.mkdir(parents=True, exist_ok=True)

    def taken(page: Page, name: str) -> None:
        page.mouse.move(0, 0)
        page.screenshot(path=folder / f"{name}.png", animations="disabled")

    return taken
