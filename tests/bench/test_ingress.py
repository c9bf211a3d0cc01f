"""The ingress's own measurement: every server that it sets up runs, and answers every request with 202."""

from argparse import Namespace

import pytest

from bench.ingress import SERVERS, measure


@pytest.mark.parametrize("kind", SERVERS.values(), ids=SERVERS.keys())
def test_a_server_answers_all_that_it_is_sent(kind: str) -> None:
    result = measure(kind, Namespace(requests=60, connections=4, size=2_048))
    assert result is not None
    assert result.per_second > 0
