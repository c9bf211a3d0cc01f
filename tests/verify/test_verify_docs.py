"""The pages about verifiers say what the code does, and their examples run."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from pytest_examples import CodeExample, EvalExample, find_examples

from tidegate import verify
from tidegate.verify.credentials import CredentialVerifier
from tidegate.verify.signatures import SignatureVerifier

DOCS = Path(__file__).parents[2] / "docs"
REFERENCE = DOCS / "reference" / "verify.md"
HOW_TO = DOCS / "how-to" / "verify-signatures.md"
WHSEC = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def senders() -> dict[str, list[str]]:
    """The rows of the table of senders, by verifier."""
    table = REFERENCE.read_text().partition("## Senders")[2].partition("## Arguments")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in table.splitlines()
        if line[:3] == "| `"
    ]
    return {row[0].strip("`"): row[1:] for row in rows}


def test_every_verifier_has_a_row_and_every_row_a_verifier():
    others = {"Secret", "SecretSource", "check_verifier", "sns_subscribe_url"}

    assert set(senders()) == set(verify.__all__) - others


@pytest.mark.parametrize("name", sorted(set(senders()) - {"aws_sns", "gcp_pubsub"}))
def test_rows_agree_with_the_verifiers(name):
    checks, delivery_id, tolerance, *_ = senders()[name]
    own_arguments = {
        "basic": ("user", WHSEC),
        "header_token": ("X-Token", WHSEC),
        "hmac_signature": ("X-S", WHSEC),
    }
    verifier = getattr(verify, name)(*own_arguments.get(name, (WHSEC,)))

    if name not in {"header_token", "hmac_signature", "query_token"}:
        named = {header.lower() for header in re.findall(r"`([A-Za-z0-9-]+)`", checks)}
        assert verifier.masked_headers <= named
    if isinstance(verifier, (SignatureVerifier, CredentialVerifier)) and delivery_id != "as you name it":
        place = (
            verifier.delivery_id if isinstance(verifier, CredentialVerifier) else verifier.scheme.delivery_id
        )
        path = f"body `{place.field.path}`" if place.field else "none"
        assert delivery_id.lower() == (f"`{place.header}`" if place.header else path).lower()
    if isinstance(verifier, SignatureVerifier) and name != "hmac_signature":
        time = verifier.scheme.time
        assert tolerance == (f"{time.tolerance // timedelta(minutes=1)} min" if time else "–")


@pytest.mark.parametrize("example", list(find_examples(str(HOW_TO))), ids=str)
def test_examples_run(example: CodeExample, eval_example: EvalExample):
    eval_example.run_print_check(example)
