"""Who called, as the access log tells it, by unary calls and by streams."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.tokens import accounts_file, token_gateway


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text().splitlines()]


@pytest.mark.parametrize("path", ["/v1/echo/hello", "/v1/echo/hello:repeat?count=2"])
async def test_a_call_with_a_token_is_written_down_in_its_callers_name(
    tmp_path: Path, path: str
) -> None:
    log = tmp_path / "access.log"
    async with token_gateway("memory:", accounts_file(tmp_path), log=str(log)) as gateway:
        token = (await gateway.issue())["access_token"]
        headers = {"Authorization": f"Bearer {token}"}
        async with gateway.session.get(path, headers=headers) as response:
            assert response.status == 200
            await response.read()
    line = lines(log)[-1]
    assert line["url.path"] == path.partition("?")[0]
    assert line["enduser.id"] == "clients/demo"
    assert line["gateway.credential.kind"] == "token"
    assert token not in log.read_text()


async def test_a_call_that_was_refused_is_in_nobodys_name(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with token_gateway("memory:", accounts_file(tmp_path), log=str(log)) as gateway:
        assert (await gateway.call("gwt_no")).status == 401
    line = lines(log)[-1]
    assert line["http.response.status_code"] == 401
    assert "enduser.id" not in line
