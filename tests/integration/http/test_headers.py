"""What is said beside the bodies: status, headers, trailers, in both directions."""

import pytest
from google.protobuf import any_pb2, duration_pb2
from google.rpc import error_details_pb2

from gateway.call import Call, Metadata, Reply
from gateway.status import Code, StatusError
from tests.support.front_end import Answer, FrontEnd, get, open_front_end, post

ITEM = get("/v1/items/a")
WITH_TRAILERS = get("/v1/items/a", "TE: trailers")


def values(answer: Answer, name: str) -> list[str]:
    return [value for field, value in answer.fields if field.lower() == name]


@pytest.mark.parametrize("status", [200, 201, 202, 204, 205, 206, 226, 304, 404, 418, 599])
async def test_a_back_end_chooses_the_status_of_a_success(front_end: FrontEnd, status: int) -> None:
    metadata: Metadata = [("x-http-code", str(status))]
    trailers: Metadata = [("x-sum", "7")]
    front_end.upstream.answers(Reply(b"\x0a\x01a", metadata=metadata, trailers=trailers))
    async with front_end.connected() as client:
        for request in (ITEM, WITH_TRAILERS, get("/v1/items/a", method="HEAD")) * 2:
            answer = await client.ask(request)
            assert answer.status == status
            if status in (204, 205, 304):
                assert "content-type" not in answer.headers
                assert answer.headers.get("content-length", "0") == "0"
                assert "transfer-encoding" not in answer.headers
                assert answer.body == b""


@pytest.mark.parametrize("value", ["", "abc", "99", "100", "199", "600", "1000", "-20", "２００"])
async def test_a_status_that_is_none_is_ignored(front_end: FrontEnd, value: str) -> None:
    front_end.upstream.answers(Reply(metadata=[("x-http-code", value)]))
    assert (await front_end.ask(ITEM)).status == 200


async def test_metadata_becomes_headers_but_never_framing(front_end: FrontEnd) -> None:
    metadata: Metadata = [
        ("location", "/v1/items/b"),
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-bytes-bin", b"\x01\x02"),
        ("x-evil", "a\r\nX-Injected: yes"),
        ("content-length", "1"),
        ("transfer-encoding", "chunked"),
        ("connection", "close"),
        ("content-type", "text/html"),
        ("content-encoding", "gzip"),
        ("date", "never"),
        ("server", "mine"),
        ("x-request-id", "forged"),
        ("grpc-status", "0"),
    ]
    front_end.upstream.answers(Reply(b"\x0a\x01a", metadata=metadata))
    async with front_end.connected() as client:
        answer = await client.ask(get("/v1/items/a", "X-Request-Id: mine"))
        assert answer.json["name"] == "a"
        assert values(answer, "location") == ["/v1/items/b"]
        assert values(answer, "set-cookie") == ["a=1", "b=2"]
        assert values(answer, "x-bytes-bin") == ["AQI="]
        assert values(answer, "content-type") == ["application/json"]
        assert values(answer, "x-request-id") == ["mine"]
        assert values(answer, "date") != ["never"]
        assert not {"x-injected", "x-evil", "connection", "content-encoding", "server"} & set(
            answer.headers
        )
        assert (await client.ask(ITEM)).status == 200


async def test_trailers_are_sent_only_to_who_asks_for_them(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x0a\x01a", trailers=[("x-sum", "7"), ("x-sum", "8")]))
    asked = await front_end.ask(WITH_TRAILERS)
    assert asked.headers["trailer"] == "x-sum"
    assert asked.trailers == [("x-sum", "7"), ("x-sum", "8")]
    assert asked.json["name"] == "a"
    unasked = await front_end.ask(ITEM)
    assert "trailer" not in unasked.headers
    assert unasked.headers["content-length"] == str(len(asked.body))
    old = await front_end.ask(b"GET /v1/items/a HTTP/1.0\r\nTE: trailers\r\n\r\n")
    assert old.headers["content-length"] == str(len(asked.body))


async def test_without_trailers_nothing_is_chunked(front_end: FrontEnd) -> None:
    for request in (WITH_TRAILERS, get("/nowhere", "TE: trailers")):
        answer = await front_end.ask(request)
        assert "transfer-encoding" not in answer.headers
        assert "trailer" not in answer.headers


async def test_an_error_brings_its_metadata_and_trailers(front_end: FrontEnd) -> None:
    front_end.upstream.fails(
        StatusError(
            Code.NOT_FOUND,
            "no such item",
            metadata=[("x-before", "1"), ("x-http-code", "200")],
            trailers=[("x-after", "2")],
        )
    )
    answer = await front_end.ask(WITH_TRAILERS)
    assert (answer.status, answer.json["error"]["message"]) == (404, "no such item")
    assert answer.headers["x-before"] == "1"
    assert answer.trailers == [("x-after", "2")]
    assert "x-after" not in (await front_end.ask(ITEM)).headers


async def test_who_is_unknown_is_challenged(front_end: FrontEnd) -> None:
    front_end.upstream.fails(StatusError(Code.UNAUTHENTICATED, "who?"))
    assert (await front_end.ask(ITEM)).headers["www-authenticate"] == "Bearer"
    own = [("www-authenticate", 'Basic realm="x"')]
    front_end.upstream.fails(StatusError(Code.UNAUTHENTICATED, "who?", metadata=own))
    assert values(await front_end.ask(ITEM), "www-authenticate") == ['Basic realm="x"']


@pytest.mark.parametrize(
    ("code", "seconds", "nanos", "told"),
    [
        pytest.param(Code.UNAVAILABLE, 3, 0, "3", id="whole seconds"),
        pytest.param(Code.RESOURCE_EXHAUSTED, 0, 1, "1", id="rounded up"),
        pytest.param(Code.UNAVAILABLE, 0, 0, "0", id="at once"),
        pytest.param(Code.UNAVAILABLE, -5, 0, "0", id="negative"),
        pytest.param(Code.INTERNAL, 3, 0, None, id="another code"),
    ],
)
async def test_retry_info_becomes_retry_after(
    front_end: FrontEnd, code: Code, seconds: int, nanos: int, told: str | None
) -> None:
    detail = any_pb2.Any()
    delay = duration_pb2.Duration(seconds=seconds, nanos=nanos)
    detail.Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    front_end.upstream.fails(StatusError(code, "later", details=[detail]))
    assert (await front_end.ask(ITEM)).headers.get("retry-after") == told


async def test_a_broken_retry_info_does_not_hide_the_error(front_end: FrontEnd) -> None:
    detail = any_pb2.Any(type_url="type.googleapis.com/google.rpc.RetryInfo", value=b"\xff")
    front_end.upstream.fails(StatusError(Code.UNAVAILABLE, "later", details=[detail]))
    answer = await front_end.ask(ITEM)
    assert (answer.status, answer.json["error"]["message"]) == (503, "later")


async def test_a_header_no_wire_can_carry_drops_the_connection_and_nothing_else(
    front_end: FrontEnd,
) -> None:
    front_end.upstream.fails(StatusError(Code.INTERNAL, "x", headers=[("X", "\u20ac")]))
    async with front_end.connected() as client:
        await client.send(ITEM)
        assert await client.is_closed()
    front_end.upstream.answers(Reply())
    assert (await front_end.ask(ITEM)).status == 200


@pytest.mark.parametrize(
    ("request_bytes", "status", "allow"),
    [
        pytest.param(get("*", method="OPTIONS"), 204, None, id="asterisk"),
        pytest.param(get("/v1/items", method="OPTIONS"), 204, "OPTIONS, POST", id="one method"),
        pytest.param(
            get("/v1/items/a", method="OPTIONS"), 204, "DELETE, GET, HEAD, OPTIONS", id="several"
        ),
        pytest.param(get("/nowhere", method="OPTIONS"), 404, None, id="unknown path"),
        pytest.param(get("/v1/items"), 405, "OPTIONS, POST", id="wrong method"),
        pytest.param(get("/v1/items", method="HEAD"), 405, "OPTIONS, POST", id="HEAD of no GET"),
        pytest.param(get("/v1/items/a", method="TRACE"), 405, None, id="TRACE"),
    ],
)
async def test_a_path_tells_its_methods(
    front_end: FrontEnd, request_bytes: bytes, status: int, allow: str | None
) -> None:
    answer = await front_end.ask(request_bytes)
    assert answer.status == status
    assert allow is None or answer.headers["allow"] == allow
    assert not front_end.upstream.calls


@pytest.mark.parametrize("path", ["/v1/items/a", "/v1/items/a?text=b", "/v1/files/a"])
async def test_head_says_what_get_says_but_for_the_body(front_end: FrontEnd, path: str) -> None:
    varying = {"date", "x-request-id"}
    async with front_end.connected() as client:
        got = await client.ask(get(path, "Accept-Encoding: gzip"))
        head = await client.ask(get(path, "Accept-Encoding: gzip", method="HEAD"))
        assert (head.status, head.body) == (got.status, b"")
        assert {n: v for n, v in head.headers.items() if n not in varying} == {
            n: v for n, v in got.headers.items() if n not in varying
        }
        assert (await client.ask(ITEM)).status == 200


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("http://a/v1/items/x", "items/x"),
        ("HTTP://a:80/v1/items/x?text=y", "items/x"),
        ("https://a/v1/items/x", "items/x"),
    ],
)
async def test_an_absolute_target_is_served_by_its_path(
    front_end: FrontEnd, target: str, name: str
) -> None:
    assert (await front_end.ask(get(target))).json["name"] == name


async def test_a_file_goes_out_as_what_it_is(front_end: FrontEnd) -> None:
    front_end.upstream.answers(Reply(b"\x0a\x09image/png\x12\x03\x00\x01\x02"))
    answer = await front_end.ask(get("/v1/files/a"))
    assert (answer.headers["content-type"], answer.body) == ("image/png", b"\x00\x01\x02")
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("offered", "kept"),
    [
        ("abc-1_2.3", True),
        ("x" * 128, True),
        ("x" * 129, False),
        ("a b", False),
        ("a;b", False),
        ("a\u00e9", False),
        ("", False),
    ],
)
async def test_a_request_id_is_kept_if_it_is_well_formed(
    front_end: FrontEnd, offered: str, kept: bool
) -> None:
    answer = await front_end.ask(get("/v1/items/a", f"X-Request-Id: {offered}"))
    told = answer.headers["x-request-id"]
    assert (told == offered) is kept
    assert told
    assert front_end.upstream.metadata["x-request-id"] == told


async def test_request_ids_differ(front_end: FrontEnd) -> None:
    ids = {(await front_end.ask(ITEM)).headers["x-request-id"] for _ in range(5)}
    assert len(ids) == 5


async def test_what_an_untrusted_client_says_of_itself_is_replaced(front_end: FrontEnd) -> None:
    await front_end.ask(
        get(
            "/v1/items/a",
            "X-Forwarded-For: 6.6.6.6",
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: evil.test",
            "Forwarded: for=6.6.6.6;proto=https",
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        )
    )
    metadata = front_end.upstream.metadata
    assert metadata["x-forwarded-for"] == "127.0.0.1"
    assert metadata["x-forwarded-proto"] == "http"
    assert metadata["x-forwarded-host"] == "gateway.test"
    assert "forwarded" not in metadata
    assert str(metadata["traceparent"]).startswith("00-4bf9")


async def test_a_trusted_proxy_that_adds_a_line_of_its_own_is_the_one_believed() -> None:
    trusted = {"trusted_proxies": ["127.0.0.0/8"]}
    async with open_front_end(forwarded=trusted) as front_end:
        await front_end.ask(
            get("/v1/items/a", "X-Forwarded-For: 6.6.6.6", "X-Forwarded-For: 203.0.113.7")
        )
    assert front_end.upstream.calls[0].peer == "203.0.113.7"
    assert front_end.upstream.metadata["x-forwarded-for"] == "6.6.6.6, 203.0.113.7, 127.0.0.1"


async def test_a_post_can_name_any_json_type(front_end: FrontEnd) -> None:
    for media_type in ("application/json", "application/json; charset=UTF-8", "a/b+json"):
        answer = await front_end.ask(post("/v1/items", b"{}", f"Content-Type: {media_type}"))
        assert answer.status == 200
    answer = await front_end.ask(post("/v1/items", b"{}", "Content-Type: text/plain"))
    assert (answer.status, answer.headers["accept"]) == (
        415,
        "application/json, application/x-protobuf",
    )


async def test_each_request_of_a_connection_is_taken_at_its_own_word(front_end: FrontEnd) -> None:
    seen: list[Metadata] = []

    async def note(call: Call) -> Reply:
        seen.append(list(call.metadata))
        call.metadata.append(("x-added", "by a guard"))
        return Reply(b"\x0a\x01a")

    front_end.upstream.part = note
    async with front_end.connected() as client:
        for fields in (["X-A: 1"], ["X-A: 1"], ["X-A: 2"], [], ["X-A: 1", "X-A: 2"], ["x-a: 1"]):
            await client.ask(get("/v1/items/a", *fields))
        named = await client.ask(get("/v1/items/a", "X-Request-Id: mine"))
        again = await client.ask(get("/v1/items/a"))
    assert [[v for n, v in one if n == "x-a"] for one in seen] == [
        ["1"], ["1"], ["2"], [], ["1", "2"], ["1"], [], [],
    ]  # fmt: skip
    assert not any(name == "x-added" for one in seen for name, _ in one)
    assert len({dict(one)["x-request-id"] for one in seen}) == len(seen)
    assert values(named, "x-request-id") == ["mine"] != values(again, "x-request-id")
