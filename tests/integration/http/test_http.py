"""What clients do to a server, over real sockets: it answers cleanly or closes, and never hangs."""

import asyncio
import gc
import gzip
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import Gateway
from gateway.http.messages import Request, Response
from gateway.listeners.sockets import ListenError
from tests.support.http import RawClient, connected, echo_gateway
from tests.support.polling import until


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    before = asyncio.all_tasks()
    async with echo_gateway(limits={"body_bytes": 10_000, "url_bytes": 500}) as running:
        yield running
    await asyncio.sleep(0)
    mine = {asyncio.current_task()}
    left = [t for t in asyncio.all_tasks() - before - mine if "gateway" in repr(t)]
    assert left == [], "a closed gateway leaves nothing running"


@pytest.fixture
async def client(gateway: Gateway) -> AsyncIterator[RawClient]:
    async with connected(gateway) as opened:
        yield opened


def post(body: bytes, *headers: str, target: str = "/v1/echo") -> bytes:
    lines = "".join(f"{h}\r\n" for h in (f"Content-Length: {len(body)}", *headers))
    return f"POST {target} HTTP/1.1\r\nHost: test\r\n{lines}\r\n".encode() + body


def seen(document: Any) -> dict[str, list[str]]:
    """The metadata the back end saw."""
    found: dict[str, list[str]] = {}
    for one in document["metadata"]:
        found.setdefault(one["name"], []).append(one.get("value", one.get("binaryValue", "")))
    return found


MALFORMED = [
    pytest.param(b"NOT HTTP\r\n\r\n", 400, id="no HTTP"),
    pytest.param(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400, id="TLS to a plain port"),
    pytest.param(b"GET /v1/echo/a HTTP/9.9\r\nHost: t\r\n\r\n", 505, id="unknown version"),
    pytest.param(b"GET /v1/echo/a HTTP/1.1\r\n\r\n", 400, id="no host"),
    pytest.param(b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400, id="two hosts"),
    pytest.param(b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nX : b\r\n\r\n", 400, id="space in a name"),
    pytest.param(b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nX: a\x00b\r\n\r\n", 400, id="NUL"),
    pytest.param(b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400, id="folded"),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
        400,
        id="two different lengths",
    ),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n"
        b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        id="length and chunks",
    ),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n", 400, id="negative"
    ),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}", 400, id="signed"
    ),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        400,
        id="a chunk without a size",
    ),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", 400, id="gzip"
    ),
    pytest.param(b"GET /v1/echo/a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="fragment"),
    pytest.param(b"GET v1/echo/a HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="no slash"),
    pytest.param(b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="asterisk"),
    pytest.param(b"CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="CONNECT"),
    pytest.param(b"GET /v1/echo/a%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="broken escape"),
    pytest.param(b"GET /v1/echo/%ff HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="not UTF-8"),
    pytest.param(b"GET /v1/echo/\xff HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="raw bytes"),
    pytest.param(b"GET /v1/echo/%00 HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="escaped NUL"),
    pytest.param(b"GET /v1/echo/.. HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="dot dot"),
    pytest.param(b"GET /v1/echo/%2e%2E HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="escaped dot dot"),
    pytest.param(b"GET /v1//echo/a HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="double slash"),
    pytest.param(b"GET //v1/echo/a HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="double slash first"),
    pytest.param(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n", 404, id="unknown path"),
    pytest.param(b"GET /v1/echo/a?text=b HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="path set again"),
    pytest.param(b"GET /v1/echo/a?number=%zz HTTP/1.1\r\nHost: a\r\n\r\n", 400, id="bad query"),
    pytest.param(
        b"GET /v1/echo/" + b"a" * 600 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414, id="long target"
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
        431,
        id="long header",
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\n" + b"X: a\r\n" * 200 + b"\r\n",
        431,
        id="many headers",
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\n"
        + b"".join(b"X%d: %b\r\n" % (i, b"a" * 10_000) for i in range(8))
        + b"\r\n",
        431,
        id="large headers",
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nGrpc-Timeout: soon\r\n\r\n", 400, id="bad timeout"
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nX-Bin: !!\r\n\r\n", 400, id="bad binary header"
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nAccept: image/png\r\n\r\n", 406, id="not acceptable"
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}", 400, id="GET body"
    ),
    pytest.param(
        b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nExpect: magic\r\n\r\n", 417, id="expectation"
    ),
    pytest.param(post(b"{"), 400, id="broken JSON"),
    pytest.param(post(b'{"text": "\xff"}'), 400, id="JSON that is not UTF-8"),
    pytest.param(post(b"[]"), 400, id="a list for a message"),
    pytest.param(post(b"[" * 9000), 400, id="deep JSON"),
    pytest.param(post(b'{"inner":' * 1000 + b"1"), 400, id="deep messages"),
    pytest.param(post(b'{"nope": 1}'), 400, id="unknown member"),
    pytest.param(post(b"{}", "Content-Type: text/plain"), 415, id="plain text"),
    pytest.param(post(b"{}", "Content-Type: application/json; charset=latin-1"), 415, id="charset"),
    pytest.param(post(b"{}", "Content-Encoding: br"), 415, id="unknown coding"),
    pytest.param(post(b"{}", "Content-Encoding: gzip"), 400, id="gzip that is none"),
    pytest.param(post(gzip.compress(b"{}")[:-4], "Content-Encoding: gzip"), 400, id="cut gzip"),
    pytest.param(post(gzip.compress(bytes(5_000_000)), "Content-Encoding: gzip"), 413, id="bomb"),
    pytest.param(post(b" " * 10_001), 413, id="large body"),
    pytest.param(
        b"POST /v1/echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n"
        + b" " * 4096 + b"\r\n2000\r\n" + b" " * 8192 + b"\r\n0\r\n\r\n",
        413,
        id="large chunks",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("request_bytes", "status"), MALFORMED)
async def test_bad_input_gets_a_clean_answer(
    client: RawClient, request_bytes: bytes, status: int
) -> None:
    await client.send(request_bytes)
    answer = await client.answer()
    assert answer.status == status
    error = answer.json()["error"]
    assert error["code"] == status
    assert error["message"]
    assert "Traceback" not in error["message"]
    assert "aiohttp" not in error["message"]


async def test_a_connection_serves_many_requests(client: RawClient) -> None:
    for number in range(3):
        answer = await client.get(f"/v1/echo/a?number={number}")
        assert answer.status == 200
        assert answer.json()["number"] == number
        assert answer.header("Connection") is None


async def test_a_refused_request_does_not_cost_the_connection(client: RawClient) -> None:
    assert (await client.get("/nowhere")).status == 404
    await client.send(post(b"{"))
    assert (await client.answer()).status == 400
    assert (await client.get("/v1/echo/a")).status == 200


async def test_pipelined_requests_are_answered_in_order(client: RawClient) -> None:
    slow = "GET /v1/echo:sleep?duration=0.2s HTTP/1.1\r\nHost: a\r\n\r\n"
    await client.send(
        slow + "".join(f"GET /v1/echo/{i} HTTP/1.1\r\nHost: a\r\n\r\n" for i in range(50))
    )
    assert "slept" in (await client.answer()).json()
    assert [(await client.answer()).json()["text"] for _ in range(50)] == [
        str(i) for i in range(50)
    ]


async def test_after_garbage_the_good_requests_are_answered_first(client: RawClient) -> None:
    await client.send("GET /v1/echo/1 HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.sleep(0.1)
    await client.send("GARBAGE\r\n\r\n")
    assert (await client.answer()).json()["text"] == "1"
    assert (await client.answer()).status == 400
    assert await client.closed()


async def test_connection_close_is_kept(client: RawClient) -> None:
    answer = await client.get("/v1/echo/a", "Connection: close")
    assert answer.header("Connection") == "close"
    assert await client.closed()


async def test_http_1_0_closes_unless_asked(gateway: Gateway) -> None:
    async with connected(gateway) as client:
        await client.send("GET /v1/echo/a HTTP/1.0\r\n\r\n")
        assert (await client.answer()).status == 200
        assert await client.closed()
    async with connected(gateway) as client:
        await client.send("GET /v1/echo/a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        assert (await client.answer()).header("Connection") == "keep-alive"


async def test_an_absolute_target_is_served_by_its_path(client: RawClient) -> None:
    answer = await client.get("http://elsewhere:1/v1/echo/a?number=1")
    assert (answer.status, answer.json()["number"]) == (200, 1)


async def test_head_is_get_without_a_body(client: RawClient) -> None:
    got = await client.get("/v1/echo/a")
    await client.send("HEAD /v1/echo/a HTTP/1.1\r\nHost: test\r\n\r\n")
    answer = await client.answer(head_only=True)
    assert answer.status == 200
    assert answer.header("Content-Type") == "application/json"
    assert abs(int(answer.header("Content-Length") or 0) - len(got.body)) < 50
    assert (await client.get("/v1/echo/b")).json()["text"] == "b"


async def test_options_tells_what_a_path_allows(client: RawClient) -> None:
    for target, allowed in (("/v1/echo", "OPTIONS, POST"), ("/v1/echo/a", "GET, HEAD, OPTIONS")):
        await client.send(f"OPTIONS {target} HTTP/1.1\r\nHost: t\r\n\r\n")
        answer = await client.answer()
        assert (answer.status, answer.header("Allow"), answer.body) == (204, allowed, b"")
        assert answer.header("Content-Length") is None
    await client.send("OPTIONS * HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await client.answer()).status == 204
    await client.send("OPTIONS /nowhere HTTP/1.1\r\nHost: t\r\n\r\n")
    assert (await client.answer()).status == 404


async def test_a_wrong_method_is_told_the_right_ones(client: RawClient) -> None:
    await client.send("DELETE /v1/echo HTTP/1.1\r\nHost: t\r\n\r\n")
    answer = await client.answer()
    assert (answer.status, answer.header("Allow")) == (405, "OPTIONS, POST")
    assert answer.json()["error"]["status"] == "UNIMPLEMENTED"


async def test_an_expected_continue_comes_before_the_body(client: RawClient) -> None:
    await client.send(
        "POST /v1/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )
    assert (await client.answer()).status == 100
    await client.send(b'{"text":"a"}')
    assert (await client.answer()).json()["text"] == "a"


async def test_no_continue_is_sent_for_a_body_nobody_wants(client: RawClient) -> None:
    await client.send(
        "POST /nowhere HTTP/1.1\r\nHost: t\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\n"
    )
    answer = await client.answer()
    assert (answer.status, answer.header("Connection")) == (404, "close")
    assert await client.closed()


async def test_a_large_refused_body_still_lets_the_answer_through(client: RawClient) -> None:
    await client.send("POST /v1/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 5000000\r\n\r\n")
    for _ in range(10):
        await client.send(bytes(100_000))
    assert (await client.answer()).status == 413


async def test_chunked_and_gzipped_bodies_are_read(client: RawClient) -> None:
    await client.send(
        b"POST /v1/echo HTTP/1.1\r\nHost: t\r\nTransfer-Encoding: chunked\r\n\r\n"
        b'7\r\n{"text"\r\n5\r\n:"a"}\r\n0\r\n\r\n'
    )
    assert (await client.answer()).json()["text"] == "a"
    await client.send(post(gzip.compress(b'{"text":"b"}'), "Content-Encoding: gzip"))
    assert (await client.answer()).json()["text"] == "b"


async def test_large_answers_are_gzipped_for_who_takes_it(client: RawClient) -> None:
    await client.send(post(json.dumps({"text": "a" * 5000}).encode(), "Accept-Encoding: gzip"))
    answer = await client.answer()
    assert answer.header("Content-Encoding") == "gzip"
    assert answer.header("Vary") == "Accept, Accept-Encoding"
    assert json.loads(gzip.decompress(answer.body))["text"] == "a" * 5000
    await client.send(post(json.dumps({"text": "a" * 5000}).encode(), "Accept-Encoding: gzip;q=0"))
    answer = await client.answer()
    assert answer.header("Content-Encoding") is None
    assert answer.json()["text"] == "a" * 5000


def serving() -> set[str]:
    """The names of the tasks that answer requests."""
    return {task.get_name() for task in asyncio.all_tasks() if "HttpProtocol" in repr(task)}


async def test_a_client_that_leaves_cancels_its_call(gateway: Gateway) -> None:
    running: set[str] = set()
    async with connected(gateway) as client:
        await client.send("GET /v1/echo:sleep?duration=30s HTTP/1.1\r\nHost: t\r\n\r\n")
        await until(serving)
        running = serving()
        assert len(running) == 1
    await until(lambda: not running & {t.get_name() for t in asyncio.all_tasks()})


async def test_a_deadline_ends_with_504(client: RawClient) -> None:
    answer = await client.get("/v1/echo:sleep?duration=5s", "Grpc-Timeout: 100m")
    assert answer.status == 504
    assert answer.json()["error"]["status"] == "DEADLINE_EXCEEDED"


async def test_default_and_ceiling_bound_every_deadline() -> None:
    deadlines = {
        "default_s": 20,
        "ceiling_s": 40,
        "methods": [{"selector": "echo.v1.EchoService.*", "default_s": 5, "ceiling_s": 10}],
    }
    async with echo_gateway(deadlines=deadlines) as gateway, connected(gateway) as client:
        for headers, most in (([], 5.0), (["Grpc-Timeout: 1H"], 10.0), (["Grpc-Timeout: 3S"], 3.0)):
            remaining = (await client.get("/v1/echo/a", *headers)).json()["timeRemaining"]
            assert most - 1 < float(remaining.rstrip("s")) <= most + 0.2, "gRPC rounds up"


async def test_the_back_end_sees_headers_as_metadata(client: RawClient) -> None:
    answer = await client.get(
        "/v1/echo/a", "X-Team: blue", "X-Team: red", "K-Bin: AQI", "Authorization: Bearer t",
        "traceparent: 00-1-2-01", "X-Request-Id: my-id", "User-Agent: me",
        "Grpc-Status: 0", "X-Forwarded-For: 6.6.6.6", "Forwarded: for=6.6.6.6",
        "Connection: X-Hop", "X-Hop: 1",
    )  # fmt: skip
    metadata = seen(answer.json())
    assert metadata["x-team"] == ["blue", "red"]
    assert metadata["k-bin"] == ["AQI="]
    assert metadata["authorization"] == ["Bearer t"]
    assert metadata["traceparent"] == ["00-1-2-01"]
    assert metadata["x-request-id"] == ["my-id"]
    assert answer.header("X-Request-Id") == "my-id"
    assert metadata["x-forwarded-user-agent"] == ["me"]
    assert metadata["x-forwarded-for"] == ["127.0.0.1"]
    assert metadata["x-forwarded-host"] == ["test"]
    assert metadata["x-forwarded-proto"] == ["http"]
    assert not {"grpc-status", "x-hop", "forwarded", "host", "connection"} & set(metadata)


async def test_a_trusted_proxy_is_believed_and_extended() -> None:
    forwarded = {"trusted_proxies": ["127.0.0.0/8"]}
    async with echo_gateway(forwarded=forwarded) as gateway, connected(gateway) as client:
        answer = await client.get(
            "/v1/echo/a",
            "X-Forwarded-For: 6.6.6.6, 10.0.0.1",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: api.example.org",
        )
        metadata = seen(answer.json())
        assert metadata["x-forwarded-for"] == ["6.6.6.6, 10.0.0.1, 127.0.0.1"]
        assert metadata["x-forwarded-proto"] == ["https"]
        assert metadata["x-forwarded-host"] == ["api.example.org"]


@pytest.mark.parametrize("offered", ["a b", "x" * 129, "a\tb", '"', ""])
async def test_a_request_id_that_is_not_well_formed_is_replaced(
    client: RawClient, offered: str
) -> None:
    answer = await client.get("/v1/echo/a", f"X-Request-Id: {offered}")
    identity = answer.header("X-Request-Id")
    assert identity
    assert identity != offered
    assert seen(answer.json())["x-request-id"] == [identity]


async def test_the_back_end_chooses_status_and_headers(client: RawClient) -> None:
    metadata = [
        {"name": "x-http-code", "value": "201"},
        {"name": "location", "value": "/v1/echo/1"},
        {"name": "x-data-bin", "binaryValue": "AQI="},
        {"name": "content-length", "value": "1"},
    ]
    body = json.dumps({"headers": metadata}).encode()
    await client.send(post(body, target="/v1/echo:sendMetadata"))
    answer = await client.answer()
    assert answer.status == 201
    assert answer.header("Location") == "/v1/echo/1"
    assert answer.header("X-Data-Bin") == "AQI="
    assert answer.header("X-Http-Code") is None
    answer.json()


async def test_trailers_go_to_who_asks_for_them(client: RawClient) -> None:
    body = json.dumps({"trailers": [{"name": "x-checksum", "value": "7"}]}).encode()
    await client.send(post(body, "TE: trailers", target="/v1/echo:sendMetadata"))
    answer = await client.answer()
    assert answer.header("trailer x-checksum") == "7"
    assert answer.header("Trailer") == "x-checksum"
    answer.json()
    await client.send(post(body, target="/v1/echo:sendMetadata"))
    answer = await client.answer()
    assert answer.header("x-checksum") is None
    assert answer.header("Content-Length")


async def test_errors_have_their_headers(client: RawClient) -> None:
    answer = await client.get("/v1/echo:fail?code=16&message=who")
    assert (answer.status, answer.header("WWW-Authenticate")) == (401, "Bearer")
    detail = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.2s"}
    body = json.dumps({"code": 14, "message": "later", "details": [detail]}).encode()
    await client.send(post(body, target="/v1/echo:fail"))
    answer = await client.answer()
    assert (answer.status, answer.header("Retry-After")) == (503, "2")
    assert answer.json()["error"]["details"] == [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "1.200s"}
    ]


async def test_a_slow_head_is_not_waited_for() -> None:
    limits = {"header_timeout_s": 0.3}
    async with echo_gateway(limits=limits) as gateway, connected(gateway) as client:
        await client.send("GET /v1/echo/a HTTP/1.1\r\nHost: ")
        assert (await client.answer()).status == 408
        assert await client.closed()


async def test_a_slow_body_is_not_waited_for() -> None:
    limits = {"body_timeout_s": 0.3}
    async with echo_gateway(limits=limits) as gateway, connected(gateway) as client:
        await client.send('POST /v1/echo HTTP/1.1\r\nHost: t\r\nContent-Length: 100\r\n\r\n{"')
        assert (await client.answer()).status == 408
        assert await client.closed()


async def test_an_idle_connection_is_closed() -> None:
    limits = {"keep_alive_s": 0.3}
    async with echo_gateway(limits=limits) as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/a")).status == 200
        assert await client.closed()


async def test_an_idle_connection_holds_nothing_of_its_last_request() -> None:
    gc.freeze()  # what other tests have left is not looked at
    async with echo_gateway() as gateway, connected(gateway) as client:
        repeated = "/v1/echo/a:repeat?count=3"
        for target, status in (("/v1/echo/a", 200), ("/nothing", 404), (repeated, 200)):
            assert (await client.get(target)).status == status
            held = [one for one in gc.get_objects() if isinstance(one, Request | Response)]
            assert held == []


async def test_closing_finishes_what_is_under_way() -> None:
    async with AsyncExitStack() as outer:
        async with echo_gateway() as gateway:
            client = await outer.enter_async_context(connected(gateway))
            await client.send("GET /v1/echo:sleep?duration=0.5s HTTP/1.1\r\nHost: t\r\n\r\n")
            await until(serving)
        answer = await client.answer()
        assert (answer.status, answer.header("Connection")) == (200, "close")


async def test_a_taken_port_is_one_clear_line(gateway: Gateway) -> None:
    with pytest.raises(ListenError, match="the port is taken; choose another with --listen"):
        async with echo_gateway(listen=gateway.address):
            pass


async def test_the_access_log_has_a_line_for_each_request(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with echo_gateway(log={"access": str(file)}) as gateway, connected(gateway) as client:
        await client.get("/v1/echo/a?number=4711", "Authorization: Bearer s3cret", "User-Agent: me")
        await client.get("/nowhere")
        await client.send("GARBAGE\r\n\r\n")
        await client.answer()
    lines = file.read_text().splitlines()
    first, second, third = (json.loads(line) for line in lines)
    assert first["http.request.method"] == "GET"
    assert first["url.path"] == "/v1/echo/a"
    assert first["http.route"] == "/v1/echo/{text}"
    assert first["rpc.method"] == "echo.v1.EchoService/Echo"
    assert (first["http.response.status_code"], first["rpc.response.status_code"]) == (200, "OK")
    assert first["user_agent.original"] == "me"
    assert first["network.peer.address"] == "127.0.0.1"
    assert first["http.response.body.size"] > 0
    assert (second["http.response.status_code"], second.get("rpc.method")) == (404, None)
    assert third["http.response.status_code"] == 400
    assert "4711" not in "".join(lines)
    assert "s3cret" not in "".join(lines)


async def test_a_rotated_access_log_is_opened_anew(tmp_path: Path) -> None:
    file = tmp_path / "access.log"
    async with echo_gateway(log={"access": str(file)}) as gateway, connected(gateway) as client:
        await client.get("/v1/echo/1")
        await until(lambda: "/v1/echo/1" in file.read_text())
        file.rename(tmp_path / "access.log.1")
        await client.get("/v1/echo/2")
    assert "/v1/echo/1" in (tmp_path / "access.log.1").read_text()
    assert "/v1/echo/2" in file.read_text()
