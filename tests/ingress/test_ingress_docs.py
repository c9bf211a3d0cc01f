"""The reference names every reason to refuse, every limit with its default, and every delivery-id header."""

import re
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

import tidegate.ingress
from tidegate.ingress import DEFAULT_HEADERS, IngressLimits, ListenerLimits

SOURCE = Path(tidegate.ingress.__file__).parent
REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()


def reasons():
    source = "".join(path.read_text() for path in SOURCE.glob("*.py"))
    refused = re.findall(r'Refusal\(\s*(\d{3}),\s*"([a-z-]+)"', source)
    later = re.findall(r'self\._later\(\s*"([a-z-]+)"', source)
    return {(status, reason) for status, reason in refused} | {("503", reason) for reason in later}


def test_every_reason_is_documented_with_its_status():
    found = reasons()
    assert len(found) > 20
    rows = [row.split("|") for row in REFERENCE.splitlines() if re.match(r"\| \d{3} \|", row)]
    documented = {(row[1].strip(), reason) for row in rows for reason in re.findall("`([a-z-]+)`", row[2])}
    assert documented == found


@pytest.mark.parametrize("limits", [IngressLimits, ListenerLimits])
def test_every_limit_is_documented_with_its_default(limits):
    for field in fields(limits):
        row = re.search(rf"^\| `{field.name}` \| (.*?) \|", REFERENCE, re.MULTILINE)
        assert row is not None, field.name
        if field.default is not MISSING:
            assert row[1] == ("nobody" if field.default == () else str(field.default)), field.name


def test_every_delivery_id_header_is_documented():
    section = REFERENCE.partition("## What tells deliveries apart")[2].split("\n\n")[2].lower()
    assert set(re.findall("`([a-z-]+)`", section)) == set(DEFAULT_HEADERS)
