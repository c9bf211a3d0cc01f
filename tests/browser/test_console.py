"""The console in a browser: what a person does, against a real service that is under load."""

import re
from collections.abc import Callable
from urllib.request import urlopen

import msgspec
import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, expect

from tests.browser.conftest import Open
from tests.browser.tracker import Tracker

pytestmark = [pytest.mark.xdist_group("browser")]

Picture = Callable[[Page, str], None]
PAGES = ("", "/events", "/entities", "/dead-letters", "/playground")
SERIOUS = {"serious", "critical"}


def newest(tracker: Tracker, query: str) -> str:
    """The newest event that the operations API finds."""
    with urlopen(f"{tracker.service.admin}/api/events?limit=1&{query}") as answer:
        return msgspec.json.decode(answer.read())["events"][0]["id"]


def test_an_event_is_searched_and_its_story_read_by_keyboard(open_page: Open, tracker: Tracker) -> None:
    tracker.send(id=301, title="The harbour is closed")
    tracker.service.settle()
    page = open_page("/console/events")
    page.keyboard.press("/")
    page.keyboard.type("harbour")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("text=harbour"))
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    page.keyboard.press("Escape")
    page.locator("body").press("j")
    page.keyboard.press("Enter")
    expect(page.locator(".stage-name")).to_have_text(
        ["received", "verified", "routed", "coalesced", "fetched", "mapped", "written", "applied"]
    )
    expect(page.locator(".steps .step-name").first).to_have_text("load")
    expect(page.locator("#payload")).to_contain_text("The harbour is closed")
    expect(page.locator("#payload")).to_contain_text('"api_token": "***"')
    page.get_by_role("button", name="Fold all").click()
    expect(page.locator("#payload")).not_to_contain_text("harbour", use_inner_text=True)
    page.get_by_role("link", name="PROJ-301").last.click()
    expect(page.get_by_role("heading", name="Why it is as it is")).to_be_visible()
    expect(page.locator(".why")).to_contain_text("1 updated")


def test_a_list_renews_itself_and_keeps_its_place(open_page: Open, tracker: Tracker) -> None:
    page = open_page("/console/events?resource_key=PROJ-302")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    tracker.send(id=302)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(1)
    page.locator("body").press("j")
    tracker.send(id=302)
    expect(page.locator("[data-rows] tbody tr")).to_have_count(2)
    expect(page.locator("tr.at")).to_have_attribute(
        "id", page.locator("[data-rows] tbody tr").last.get_attribute("id") or ""
    )


def test_a_dead_letter_is_redriven_and_seen_applied(open_page: Open, tracker: Tracker) -> None:
    tracker.mood("out", bad=True)
    tracker.send(id=303, frail=True)
    tracker.service.settle()
    beside = open_page(f"/console/events/{newest(tracker, 'resource_key=PROJ-303')}")
    expect(beside.locator(".facts .state")).to_have_text("dead")
    page = open_page("/console/dead-letters")
    cause = page.locator(".cause").filter(has_text="answered 503").filter(has_text="issue").first
    expect(cause).to_contain_text("The third party was out or slow")
    cause.locator("summary").click()
    tracker.mood("out", bad=False)
    row = cause.locator("tr").filter(has_text="PROJ-303")
    row.get_by_role("checkbox").check()
    expect(cause.locator("[data-chosen]")).to_have_text("1 chosen")
    cause.get_by_role("button", name="Redrive chosen").click()
    expect(page.locator("#job")).to_contain_text("1 run redriven")
    page.locator("#job .id a").click()
    expect(page.locator(".facts .state")).to_have_text("applied")
    expect(page.locator(".attempt .state").last).to_have_text("completed")
    expect(beside.locator(".facts .state")).to_have_text("applied")


def test_all_of_a_cause_are_redriven_with_a_progress(open_page: Open, tracker: Tracker) -> None:
    tracker.mood("wrong", bad=False)
    page = open_page("/console/dead-letters")
    cause = page.locator(".cause").filter(has_text="KeyError").filter(has_text="IssueProcessor · issue")
    cause.get_by_role("button", name=re.compile("^Redrive 4")).click()
    expect(page.locator("#job")).to_contain_text("4 runs redriven")
    expect(cause).to_have_count(0)


def test_an_event_page_follows_what_becomes_of_it(open_page: Open, tracker: Tracker) -> None:
    page = open_page(f"/console/events/{newest(tracker, 'state=applied')}")
    page.get_by_role("button", name="Replay").click()
    expect(page.locator(".facts")).to_contain_text("Replays")
    expect(page.locator(".facts .state")).to_have_text(re.compile("applied|coalesced"))


def test_a_mapping_is_edited_and_its_effect_seen(open_page: Open, tracker: Tracker) -> None:
    tracker.send(id=305, title="Payment fails")
    tracker.service.settle()
    page = open_page(f"/console/playground?event={newest(tracker, 'resource_key=PROJ-305')}")
    expect(page.locator("#result .state").first).to_have_text("unchanged")
    editor = page.locator("#mapping")
    mapping = editor.input_value()
    editor.fill(mapping.replace("title: .title", "title: .title | ascii_upcase"))
    changed = page.locator("#result .changes tbody tr")
    expect(changed).to_have_count(1)
    expect(changed.locator("td")).to_have_text(['"Payment fails"', '"PAYMENT FAILS"'])
    editor.fill(mapping.replace("title: .title", "title: .title | nonsense"))
    expect(page.locator("#result")).to_contain_text("nonsense")
    editor.fill(mapping.replace("title: .title", "title: .title | ascii_upcase"))
    page.get_by_role("button", name="What would change?").click()
    expect(page.locator("#trial h2")).to_have_text("This would change the catalog")
    expect(page.locator("#trial")).to_contain_text("title")
    page.get_by_role("button", name="Start over").click()
    expect(page.locator("#result .state").first).to_have_text("unchanged")


def test_theme_keys_and_copies(open_page: Open) -> None:
    page = open_page("/console/events")
    root = page.locator("html")
    page.keyboard.press("t")
    page.keyboard.press("t")
    expect(root).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(root).to_have_attribute("data-theme", "dark")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("d")
    expect(page).to_have_url(re.compile("dead-letters$"))
    page.go_back()
    page.locator("[data-row-link]").first.click()
    page.locator("h1 .copy").click()
    expect(page.locator("#toast")).to_have_text("Copied")


@pytest.mark.parametrize("path", PAGES)
def test_a_phone_shows_everything_in_its_width(path: str, open_page: Open) -> None:
    page = open_page(f"/console{path}", phone=True)
    expect(page.locator("h1")).to_be_visible()
    width = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert width <= 0


def test_hostile_texts_stay_texts(open_page: Open, tracker: Tracker) -> None:
    tracker.send(
        id=304,
        title="<img src=x onerror=\"document.title='taken'\">",
    )
    tracker.service.settle()
    page = open_page("/console/entities/issue/PROJ-304")
    expect(page.locator("main")).to_contain_text("<img src=x")
    assert "taken" not in page.title()
    assert page.locator("main img").count() == 0


@pytest.mark.parametrize(
    "path", [*PAGES, "/events/{event}", "/entities/issue/PROJ-300", "/events?text=nowhere"]
)
def test_pages_are_accessible(path: str, open_page: Open, tracker: Tracker) -> None:
    tracker.send(id=300)
    tracker.service.settle()
    page = open_page("/console" + path.format(event=newest(tracker, "state=dead")))
    expect(page.locator("h1")).to_be_visible()
    for scheme in ("light", "dark"):
        page.emulate_media(color_scheme=scheme)
        found = Axe().run(page).response["violations"]
        bad = [
            (each["id"], each["help"], [node["html"][:160] for node in each["nodes"]][:4])
            for each in found
            if each["impact"] in SERIOUS
        ]
        assert bad == [], scheme


def test_pictures_for_the_documentation(open_page: Open, tracker: Tracker, picture: Picture | None) -> None:
    if picture is None:
        pytest.skip("TIDEGATE_SCREENSHOTS names no folder")
    tracker.mood("out", bad=True)
    for number in range(3):
        tracker.send(id=110 + number, frail=True)
    tracker.send(id=300, title="Payment fails on retry")
    tracker.service.settle()
    dead = newest(tracker, "state=dead&kind=issue")
    expect(open_page("/console").locator(".trend strong").first).to_have_text(re.compile("[1-9]"))
    for name, path, dark in (
        ("overview", "", False),
        ("overview-dark", "", True),
        ("events", "/events", False),
        ("event", f"/events/{dead}", False),
        ("entities", "/entities", False),
        ("entity", "/entities/issue/PROJ-300", False),
        ("dead-letters", "/dead-letters", False),
    ):
        page = open_page(f"/console{path}", dark=dark)
        expect(page.locator("h1")).to_be_visible()
        picture(page, name)
    page = open_page(f"/console/playground?event={newest(tracker, 'resource_key=PROJ-300')}")
    editor = page.locator("#mapping")
    editor.fill(editor.input_value().replace("title: .title", "title: .title | ascii_upcase"))
    expect(page.locator("#result .changes")).to_be_visible()
    page.get_by_role("button", name="What would change?").click()
    expect(page.locator("[data-trial=finished]")).to_be_visible()
    picture(page, "playground")
    page = open_page("/console/events", phone=True)
    expect(page.locator("h1")).to_be_visible()
    picture(page, "events-phone")
