"""The reference of metrics and a real scrape of a real service agree."""

import re
from pathlib import Path
from urllib.request import urlopen

import msgspec
from prometheus_client.parser import text_string_to_metric_families

from tests.app.service_process import MAIN, MAPPING, Service, eventually, write_integration

FAILING = MAIN.replace(
    "        return WebhookEventRawResults([payload], [])",
    '        if payload["state"] == "poison":\n            raise ValueError("cannot digest this")\n'
    "        return WebhookEventRawResults([payload], [])",
)
WARNING = MAPPING.replace("{state: .state}", "{state: .state.deep}")
HAPPEN_RARELY = {
    "tidegate_connections_cut_total",
    "tidegate_duty_failures_total",
    "tidegate_paused",
    "tidegate_processor_errors_total",
}
OF_THE_LIBRARY = {"le"}


def documented() -> dict[str, tuple[str, set[str]]]:
    page = Path("docs/reference/metrics.md").read_text()
    rows = re.findall(r"^\| `(tidegate_\w+)` \| (\w+) \| (.*?) \|", page, re.MULTILINE)
    return {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows}


def scraped(service: Service) -> dict[str, tuple[str, set[str]]]:
    with urlopen(f"{service.admin}/metrics", timeout=10) as answer:
        page = answer.read().decode()
    found: dict[str, tuple[str, set[str]]] = {}
    for family in text_string_to_metric_families(page):
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels}
        found[name] = (family.type, labels - OF_THE_LIBRARY)
    return found


def test_a_scrape_holds_what_the_reference_says(tmp_path: Path) -> None:
    directory = write_integration(tmp_path / "integration", main=FAILING, mapping=WARNING)
    reference = documented()
    expected = reference.keys() - HAPPEN_RARELY - {"tidegate_events_coalesced_total"}
    with Service(directory) as service:
        for number, state in ((1, "open"), (2, "poison")):
            payload = {"id": number, "title": "T", "state": state}
            for _ in range(2):
                assert service.post(payload, headers={"X-GitHub-Delivery": f"d-{number}"}) == 202
        for _ in range(40):  # some of them meet a run that waits
            assert service.post({"id": 1, "title": "T", "state": "closed"}) == 202
        assert service.post([1]) == 400
        service.settle()
        eventually(lambda: expected <= scraped(service).keys())  # histograms come a moment later
        found = scraped(service)
        service.terminate()
    assert found.keys() <= reference.keys()
    for name, (kind, labels) in found.items():
        assert reference[name][0] == kind, name
        assert labels <= reference[name][1], name
        if name not in HAPPEN_RARELY:
            assert labels == reference[name][1], name


def test_the_version_is_told(tmp_path: Path) -> None:
    with Service(write_integration(tmp_path / "integration")) as service:
        with urlopen(f"{service.admin}/metrics", timeout=10) as answer:
            page = answer.read().decode()
        assert re.search(r'^tidegate_build_info\{version="[^"]+"\} 1\.0$', page, re.MULTILINE)
        assert msgspec.json.decode(urlopen(f"{service.admin}/api/status").read())["backlog"]
        service.terminate()
