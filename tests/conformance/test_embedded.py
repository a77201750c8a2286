"""A sample of the rows inside other programs: the same answers as from a gateway of its own."""

from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.recording import Case
from tests.conformance.test_conformance import cases, exchange
from tests.support.embedded import WAYS, embedded
from tests.support.http import Answer

# Every row would take minutes and differs from its neighbours in what stands behind the exchange.
# Rows that another gateway answers otherwise are the same here, too.
SAMPLE = [
    pytest.param(row.values[0], id=row.id)
    for row in [*cases("request")[::12], *cases("reply")[::12]]
]
# Fields of one request, of the connection, and of the server.
VARYING = {"date", "server", "x-request-id", "connection", "keep-alive", "transfer-encoding"}


def shown(answer: Answer, request_id: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """The parts of an answer that must be the same, without the id of its request."""
    headers = [(name.lower(), value) for name, value in answer.headers]
    kept = sorted(pair for pair in headers if pair[0] not in VARYING)
    return answer.status, kept, answer.body.replace(request_id.encode(), b"ID")


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("case", SAMPLE)
async def test_the_answer_is_the_same(way: str, case: Case, tmp_path: Path) -> None:
    seen: list[Any] = []
    for serve in ({}, {"serve": partial(embedded, way)}):
        answer, recorder = await exchange(case, tmp_path, **serve)
        request_id = answer.header("X-Request-Id")
        assert request_id
        seen.append((shown(answer, request_id), recorder.got))
    assert seen[0] == seen[1]
