"""Calls of requests: the encoded metadata, and the same when an interceptor asks for it."""

from typing import Any

import hpack
import pytest

from gateway.call import Call, Principal, Reply
from gateway.config.auth import IdentityOptions
from gateway.config.tracing import TracingOptions
from gateway.exchange.calls import CallFactory
from gateway.exchange.site import Site
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request
from gateway.interceptors.identify import Identify
from gateway.listeners.http1.known_lines import KnownLines
from gateway.telemetry.traces.starting import TraceStarter
from tests.support.front_end import schema
from tests.support.site import PEER, make_site
from tests.support.upstream import Upstream

LINES = [
    *(b"Host: gateway.test", b"Accept: */*", b"User-Agent: probe/1.0", b"Cookie: a=b"),
    *(
        b"X-Forwarded-For: 1.2.3.4",
        b"X-A: 1",
        b"x-a: 2",
        b"Grpc-Timeout: 1S",
        b"Authorization: b c",
    ),
]


def opened(site: Site, *lines: bytes) -> Call:
    """The call of a request with these lines."""
    known = KnownLines()
    read = [line for line in map(known.line, lines) if line is not None]
    assert len(read) == len(lines)
    request = Request("GET", "/v1/items/a", HeaderFields(None, (), read), PEER)
    request.id = "id-1"
    factory: CallFactory = site.rest._calls
    return factory.open(request, schema().methods["front.v1.Front.GetItem"], 0.0)


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param({}, id="default"),
        pytest.param({"metadata": {"request_rename": {"x-a": "x-b"}}}, id="renamed"),
        pytest.param({"forwarded": {"send": False}}, id="not forwarded"),
    ],
)
def test_the_encoded_metadata_is_that_which_an_interceptor_reads(settings: Any) -> None:
    call = opened(make_site(Upstream(), **settings), *LINES)
    head = call.unread_metadata
    assert head is not None
    decoded = hpack.Decoder().decode(head.block(), raw=True)
    sent = [(name.decode(), value.decode()) for name, value, *_ in decoded]
    assert sent == call.metadata
    assert ("x-request-id", "id-1") in sent
    first = [call.header("x-a", b"x-a"), call.header("X-B", b"x-b")]
    assert [call.headers["x-a"], call.headers.get("X-B")] == first == ["1", None]


@pytest.mark.parametrize("size", [1, 126, 127, 128])
def test_an_id_of_any_length_is_encoded(size: int) -> None:
    call = opened(make_site(Upstream()), *LINES)
    request: Request = call._head._request  # type: ignore[union-attr]
    request.id = "i" * size
    head = call.unread_metadata
    assert head is not None
    decoded = hpack.Decoder().decode(head.encoded, raw=True)
    assert [value for name, value, *_ in decoded if name == b"x-request-id"] == [b"i" * size]


def test_metadata_is_encoded_only_for_a_call_that_leaves() -> None:
    known = KnownLines()
    read = [line for line in map(known.line, LINES) if line is not None]
    fields, site = HeaderFields(None, (), read), make_site(Upstream())
    calls: CallFactory = site.rest._calls
    refused = calls.open(
        Request("GET", "/", fields, PEER), schema().methods["front.v1.Front.GetItem"], 0.0
    )
    assert [fields.block_rules, fields.block] == [None, b""]
    assert refused.unread_metadata is not None
    assert fields.block_rules is calls._rules
    assert fields.block


@pytest.mark.parametrize(
    ("line", "settings"),
    [
        pytest.param(b'If-None-Match: "a;gzip"', {}, id="entity tag"),
        pytest.param(b"X-A: QQ", {"metadata": {"request_rename": {"x-a": "a-bin"}}}, id="binary"),
        pytest.param(b"X-A: 1", {"forwarded": {"trusted_proxies": [PEER]}}, id="trusted proxy"),
    ],
)
def test_metadata_that_depends_on_more_than_lines_is_not_encoded(
    line: bytes, settings: Any
) -> None:
    call = opened(make_site(Upstream(), **settings), b"Host: gateway.test", line)
    assert call.unread_metadata is None
    assert ("x-request-id", "id-1") in call.metadata


async def answer(_: Call) -> Reply:
    return Reply()


async def test_the_caller_is_encoded_as_an_interceptor_reads_it() -> None:
    ada = Principal("users/ada", frozenset({"read", "a,b"}), {"note": "é" * 50}, "demo")
    identify = Identify(IdentityOptions(), ("x-jwt", lambda who, _: who.name * 20))
    for _ in range(2):  # the second time from memory
        call = opened(make_site(Upstream()), *LINES)
        call.principal = ada
        await identify(call, answer)
        head = call.unread_metadata
        assert head is not None
        decoded = hpack.Decoder().decode(head.block(), raw=True)
        sent = [(name.decode(), value.decode()) for name, value, *_ in decoded]
        assert sent == call.metadata
        told = ["x-principal", "x-principal-scopes", "x-principal-client", "x-principal-claim-note"]
        assert [name for name, _ in sent[-5:]] == [*told, "x-jwt"]


async def test_a_name_that_metadata_may_not_have_is_left_to_the_channel_to_judge() -> None:
    call = opened(make_site(Upstream()), *LINES)
    call.principal = Principal("users/ada", claims={"for": "1"})
    await Identify(IdentityOptions(claims_prefix="x-forwarded-"))(call, answer)
    assert call.unread_metadata is None
    assert call.metadata[-1] == ("x-forwarded-for", "1")


@pytest.mark.parametrize("state", [[], [b"tracestate: a=1,b=2"]], ids=["no state", "state"])
def test_the_trace_is_encoded_as_an_interceptor_reads_it(state: list[bytes]) -> None:
    parent = f"00-{'a1' * 16}-{'b2' * 8}-01"
    site = make_site(Upstream(), starter=TraceStarter(TracingOptions()))
    call = opened(site, *LINES, f"traceparent: {parent}".encode(), *state)
    head = call.unread_metadata
    assert head is not None
    assert call.trace is not None
    decoded = hpack.Decoder().decode(head.block(), raw=True)
    sent = [(name.decode(), value.decode()) for name, value, *_ in decoded]
    assert sent == call.metadata
    traced = [(name, value) for name, value in sent if name.startswith("trace")]
    expected = [("traceparent", call.trace.for_back_end)]
    assert traced == ([*expected, ("tracestate", "a=1,b=2")] if state else expected)


def test_without_traces_the_lines_of_the_client_pass_unchanged() -> None:
    call = opened(make_site(Upstream()), b"Host: gateway.test", b"traceparent: nonsense")
    assert call.trace is None
    assert ("traceparent", "nonsense") in call.metadata
