"""One line for each request, whatever became of it, and nothing in it that must stay secret."""

import json
from pathlib import Path
from typing import Any

from gateway.status import Code, StatusError
from tests.support.front_end import get, open_front_end, post


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


async def test_a_call_is_written_down_with_its_route_and_rpc(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        request = post(
            "/v1/items", b'{"text":"b"}', "X-Request-Id: one", 'User-Agent: me\t\u00e9"\\'
        )
        answer = await front_end.ask(request)
    (line,) = lines(log)
    assert line.pop("timestamp").endswith("Z")
    assert 0 < line.pop("http.server.request.duration") < 5
    assert line.pop("user_agent.original").startswith("me\t")
    assert line == {
        "severity_text": "INFO",
        "scope.name": "gateway.access",
        "gateway.request.id": "one",
        "http.request.method": "POST",
        "url.path": "/v1/items",
        "http.route": "/v1/items",
        "rpc.system.name": "grpc",
        "rpc.method": "front.v1.Front/CreateItem",
        "http.response.status_code": 200,
        "rpc.response.status_code": "OK",
        "http.request.body.size": 12,
        "http.response.body.size": len(answer.body),
        "client.address": "127.0.0.1",
        "network.peer.address": "127.0.0.1",
    }


async def test_every_way_to_fail_is_written_down_once(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        for request in (
            get("/nowhere"),
            get("/v1/items"),
            get("/v1/items/a", "Accept: image/png"),
            post("/v1/items", b"{"),
            get("/v1/items/a#x"),
            get("*", method="OPTIONS"),
            b"junk\r\n\r\n",
        ):
            await front_end.ask(request)
        front_end.upstream.fails(StatusError(Code.ABORTED, "no"))
        await front_end.ask(get("/v1/items/a"))
        front_end.upstream.fails(ZeroDivisionError())
        await front_end.ask(get("/v1/items/a"))
    assert [
        (
            line["http.response.status_code"],
            line["rpc.response.status_code"],
            "rpc.method" in line,
        )
        for line in lines(log)
    ] == [
        (404, "NOT_FOUND", False),
        (405, "UNIMPLEMENTED", False),
        (406, "INVALID_ARGUMENT", True),
        (400, "INVALID_ARGUMENT", True),
        (400, "INVALID_ARGUMENT", False),
        (204, "OK", False),
        (400, "INVALID_ARGUMENT", False),
        (409, "ABORTED", True),
        (500, "INTERNAL", True),
    ]
    assert len({line["gateway.request.id"] for line in lines(log)}) == 9


async def test_no_secret_is_written_down(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        for target in (
            "/v1/items/a?text=S3CRET&S3CRET=1",
            "/nowhere?key=S3CRET",
            "/v1/items/a?text=S3CRET#x",
            "/v1/items/a%0aforged?%zz=S3CRET",
            "https://me:S3CRET@a/v1/items/a",
            "ftp://me:S3CRET@a/v1/items/a",
        ):
            await front_end.ask(get(target, "Authorization: Bearer S3CRET", "Cookie: S3CRET"))
    assert len(lines(log)) == 6
    assert "S3CRET" not in log.read_text(encoding="utf-8")


async def test_a_log_that_is_off_writes_nothing(tmp_path: Path) -> None:
    async with open_front_end() as front_end:
        assert (await front_end.ask(get("/v1/items/a"))).status == 200
    assert not any(tmp_path.iterdir())  # noqa: ASYNC240 - nothing else runs on this loop


async def test_only_what_is_sent_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    async with open_front_end(log=log) as front_end:
        for method in ("HEAD", "OPTIONS"):
            await front_end.ask(get("/v1/items", method=method))
            await front_end.ask(get("/v1/items/a", method=method))
    assert [line["http.response.body.size"] for line in lines(log)] == [0, 0, 0, 0]
