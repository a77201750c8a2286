"""One request to one response: its call ends once, and it is recorded once, in every case."""

import asyncio
import gzip
import json
from collections.abc import Awaitable

import pytest

from gateway.call import Call, Principal, Reply
from gateway.exchange.endpoints import EndpointRegistry
from gateway.exchange.exchange import Exchange
from gateway.exchange.ring.ring import Ring
from gateway.http.messages import Request, Response
from gateway.status import Code, StatusError
from tests.support.polling import turns
from tests.support.site import Records, make_request, make_site
from tests.support.upstream import Upstream

ADA = Principal("ada")


def names(response: Response) -> list[str]:
    return [name for name, _ in response.headers]


def error_of(response: Response) -> str:
    return str(json.loads(response.body)["error"]["status"])


async def test_an_answered_call_ends_ok_and_is_recorded_with_what_its_client_gets() -> None:
    upstream, records = Upstream(), Records()
    exchange = Exchange(make_site(upstream, observers=[records]))
    response = await exchange.answer(make_request("/v1/items/a?text=b", X_Request_Id="mine"))
    assert (response.status, json.loads(response.body)) == (200, {"name": "items/a", "text": "b"})
    assert ("X-Request-Id", "mine") in response.headers
    assert upstream.endings == [Code.OK]
    (record,) = records
    assert (record.request_id, record.method, record.path) == ("mine", "GET", "/v1/items/a")
    assert (record.query, record.status, record.code) == ("text=b", 200, Code.OK)
    assert record.response_bytes == len(response.body)
    assert record.binding is not None
    assert record.binding.method.name == "GetItem"


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        pytest.param("/nowhere", "/nowhere", id="as it came"),
        pytest.param('/a"b\\c', '/a"b\\c', id="what JSON escapes"),
        pytest.param("/a\x1b[31m\u202e", r"/a\x1b[31m\u202e", id="control characters"),
        pytest.param("/" + "x" * 500, "/" + "x" * 199 + "...", id="cut"),
        pytest.param("/" + "x" * 199, "/" + "x" * 199, id="just short enough"),
    ],
)
async def test_a_path_without_a_route_is_shown_safely(path: str, shown: str) -> None:
    records = Records()
    exchange = Exchange(make_site(Upstream(), observers=[records]))
    response = await exchange.answer(make_request(path, X_Request_Id="mine"))
    message = f"no route for GET {shown}"
    assert json.loads(response.body) == {
        "error": {"code": 404, "message": message, "status": "NOT_FOUND"}
    }
    assert response.content_type == "application/json"
    assert names(response) == ["Vary", "X-Request-Id"]
    (record,) = records
    assert (record.status, record.code, record.binding) == (404, Code.NOT_FOUND, None)


async def test_a_request_without_an_id_gets_one_of_its_own() -> None:
    exchange, ids = Exchange(make_site(Upstream())), set()
    for sent in ({}, {}, {"X_Request_Id": "not well-formed"}):
        request = make_request(**sent)
        response = await exchange.answer(request)
        assert ("X-Request-Id", request.id) in response.headers
        ids.add(request.id)
    assert len(ids) == 3


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        pytest.param(StatusError(Code.NOT_FOUND, "gone"), 404, Code.NOT_FOUND, id="a status"),
        pytest.param(ValueError("S3CRET"), 500, Code.INTERNAL, id="a defect"),
        pytest.param(TimeoutError(), 500, Code.INTERNAL, id="a time-out of other code"),
    ],
)
async def test_a_failed_call_ends_with_the_code_that_its_client_and_the_record_get(
    error: Exception, status: int, code: Code
) -> None:
    upstream, records = Upstream(), Records()
    upstream.fails(error)
    response = await Exchange(make_site(upstream, observers=[records])).answer(make_request())
    assert (response.status, response.code, error_of(response)) == (status, code, code.name)
    assert b"S3CRET" not in response.body
    assert upstream.endings == [code]
    assert [(one.status, one.code) for one in records] == [(status, code)]


async def cancel(exchange: Exchange, request: Request, *, overdue: bool) -> Response:
    answering = asyncio.create_task(exchange.answer(request))
    await turns()
    if overdue:
        request.interruption = StatusError(Code.DEADLINE_EXCEEDED, "late")
    answering.cancel()
    return await answering


async def test_a_client_that_leaves_cancels_the_call_and_is_recorded_as_499() -> None:
    upstream, records = Upstream(), Records()
    upstream.hangs()
    exchange = Exchange(make_site(upstream, observers=[records]))
    with pytest.raises(asyncio.CancelledError):
        await cancel(exchange, make_request(), overdue=False)
    assert upstream.endings == [Code.CANCELLED]
    assert [(one.status, one.code) for one in records] == [(499, Code.CANCELLED)]
    assert records[0].response_bytes == 0


async def test_an_overdue_call_is_answered_although_its_task_is_cancelled() -> None:
    upstream, records = Upstream(), Records()
    upstream.hangs()
    exchange = Exchange(make_site(upstream, observers=[records]))
    response = await cancel(exchange, make_request(), overdue=True)
    assert (response.status, error_of(response)) == (504, "DEADLINE_EXCEEDED")
    assert upstream.endings == [Code.DEADLINE_EXCEEDED]
    assert [(one.status, one.code) for one in records] == [(504, Code.DEADLINE_EXCEEDED)]


@pytest.mark.parametrize(
    ("target", "method", "status", "code"),
    [
        ("/nowhere", "GET", 404, Code.NOT_FOUND),
        ("/v1/items/a", "POST", 405, Code.UNIMPLEMENTED),
        ("/v1/items/a", "OPTIONS", 204, Code.OK),
        ("*", "OPTIONS", 204, Code.OK),
        ("/v1/items/a?unknown=1", "GET", 400, Code.INVALID_ARGUMENT),
    ],
)
async def test_a_request_that_reaches_no_back_end_is_recorded_too(
    target: str, method: str, status: int, code: Code
) -> None:
    records = Records()
    exchange = Exchange(make_site(Upstream(), observers=[records]))
    response = await exchange.answer(make_request(target, method))
    assert response.status == status
    assert [(one.status, one.code) for one in records] == [(status, code)]
    assert records[0].response_bytes == (0 if status == 204 else len(response.body))


class Mark:
    def __init__(self, name: str) -> None:
        self._name = name

    def add_headers(self, request: Request, response: Response) -> None:
        response.headers.append(("X-Mark", self._name))

    def variant(self, request: Request) -> str:
        return ""


async def test_a_check_of_the_ring_refuses_before_a_call_is_opened() -> None:
    def refuse(request: Request) -> None:
        raise StatusError(Code.PERMISSION_DENIED, "not from here")

    upstream, records = Upstream(), Records()
    site = make_site(upstream, observers=[records], ring=Ring([refuse], [Mark("marked")]))
    response = await Exchange(site).answer(make_request())
    assert ("X-Mark", "marked") in response.headers
    assert response.status == 403
    assert upstream.calls == []
    assert [one.code for one in records] == [Code.PERMISSION_DENIED]


async def test_credentials_are_checked_where_a_request_may_break_their_rules() -> None:
    asked: list[str] = []

    def check(request: Request) -> None:
        asked.append(request.path)
        request.fields.are_checked = True

    exchange = Exchange(make_site(Upstream(), ring=Ring([], [], check)))
    fields = make_request().fields
    targets = ["/v1/items/a", "/v1/items/b", "/v1/items/c?x=1", "/v1/items/%64", "/v1/items/gwt"]
    for target in targets:
        await exchange.answer(Request("GET", target, fields, ""))
    assert asked == ["/v1/items/a", "/v1/items/c", "/v1/items/%64", "/v1/items/gwt"]
    await exchange.answer(make_request("/v1/items/b"))
    assert asked[4:] == ["/v1/items/b"]


async def test_headers_that_cannot_be_made_leave_only_the_id() -> None:
    class Fail(Mark):
        def add_headers(self, request: Request, response: Response) -> None:
            super().add_headers(request, response)
            raise ValueError("S3CRET")

    upstream, records = Upstream(), Records()
    site = make_site(upstream, observers=[records], ring=Ring([], [Fail("half")]))
    request = make_request()
    response = await Exchange(site).answer(request)
    assert (response.status, error_of(response)) == (500, "INTERNAL")
    assert response.headers == [("X-Request-Id", request.id)]
    assert upstream.endings == [Code.INTERNAL]
    assert [(one.status, one.code) for one in records] == [(500, Code.INTERNAL)]
    upstream.hangs()
    with pytest.raises(asyncio.CancelledError):
        await cancel(Exchange(site), make_request(), overdue=False)
    assert len(upstream.endings) == len(records) == 2


async def test_a_header_of_the_gateway_replaces_one_of_the_back_end() -> None:
    async def part(call: Call) -> Reply:
        call.response_headers.append(("X-Limit", "ours"))
        return Reply(metadata=[("x-http-header-x-limit", "theirs")])

    response = await Exchange(make_site(Upstream(part))).answer(make_request())
    assert [value for name, value in response.headers if name == "X-Limit"] == ["ours"]


async def test_the_answer_to_head_is_recorded_without_the_bytes_that_are_not_sent() -> None:
    records = Records()
    exchange = Exchange(make_site(Upstream(), observers=[records]))
    await exchange.answer(make_request(method="HEAD"))
    assert [(one.status, one.response_bytes) for one in records] == [(200, 0)]


async def test_a_large_answer_is_compressed_for_clients_that_take_it() -> None:
    compression = {"enabled": True, "min_bytes": 100}
    exchange = Exchange(make_site(Upstream(), compression=compression))
    target = f"/v1/items/a?text={'x' * 200}"
    plain = await exchange.answer(make_request(target))
    packed = await exchange.answer(make_request(target, Accept_Encoding="gzip"))
    assert ("Content-Encoding", "gzip") in packed.headers
    assert gzip.decompress(packed.body) == plain.body


class OpenedCall:
    """The call of a request as the exchange ends it; `ending` is what there is to wait for."""

    principal = ADA
    split = None
    cache_result: str = ""
    back_end_failed = False

    def __init__(self, ending: Awaitable[None] | None = None) -> None:
        self.ending = ending
        self.codes: list[Code] = []

    def end(self, code: Code) -> Awaitable[None] | None:
        self.codes.append(code)
        return self.ending


def answering(call: OpenedCall, response: Response | StatusError) -> EndpointRegistry:
    """An endpoint with an open call, which answers or fails so."""

    async def endpoint(request: Request) -> Response:
        request.open_call = call
        if isinstance(response, StatusError):
            raise response
        return response

    return EndpointRegistry({"/own": {"GET": endpoint}})


async def test_an_endpoint_is_answered_by_its_path_and_recorded_without_a_binding() -> None:
    records, call = Records(), OpenedCall()
    endpoints = answering(call, Response(200, [], b"here"))
    site = make_site(Upstream(), observers=[records], endpoints=endpoints)
    response = await Exchange(site).answer(make_request("/own?a=b"))
    assert response.body == b"here"
    assert call.codes == [Code.OK]
    assert [(one.path, one.binding, one.principal) for one in records] == [("/own", None, ADA)]


async def test_a_response_that_goes_on_ends_and_records_its_call_itself() -> None:
    records, call = Records(), OpenedCall()
    response = Response(200, [])
    response.stream = object()  # type: ignore[assignment]
    site = make_site(Upstream(), observers=[records], endpoints=answering(call, response))
    request = make_request("/own")
    assert await Exchange(site).answer(request) is response
    assert (call.codes, records, request.open_call) == ([], [], None)


async def raising() -> None:
    raise ValueError("S3CRET")


async def test_a_failure_while_a_call_ends_neither_hides_the_response_nor_the_record() -> None:
    records, call = Records(), OpenedCall(raising())
    refused = StatusError(Code.PERMISSION_DENIED, "no")
    site = make_site(Upstream(), observers=[records], endpoints=answering(call, refused))
    response = await Exchange(site).answer(make_request("/own"))
    assert response.status == 403
    assert call.codes == [Code.PERMISSION_DENIED]
    assert [one.code for one in records] == [Code.PERMISSION_DENIED]


@pytest.mark.parametrize("overdue", [True, False], ids=["overdue", "left by its client"])
async def test_a_cancellation_while_a_call_ends_is_recorded_once(overdue: bool) -> None:
    records, call = Records(), OpenedCall(asyncio.Event().wait())  # type: ignore[arg-type]
    refused = StatusError(Code.PERMISSION_DENIED, "no")
    site = make_site(Upstream(), observers=[records], endpoints=answering(call, refused))
    if overdue:
        response = await cancel(Exchange(site), make_request("/own"), overdue=True)
        assert response.status == 403
    else:
        with pytest.raises(asyncio.CancelledError):
            await cancel(Exchange(site), make_request("/own"), overdue=False)
    assert [one.status for one in records] == [403 if overdue else 499]
    assert call.codes == [Code.PERMISSION_DENIED]


async def test_the_site_can_be_replaced_between_two_requests() -> None:
    first, second = Upstream(), Upstream()
    exchange = Exchange(make_site(first, limits={"connections": 1}))
    await exchange.answer(make_request())
    exchange.site = make_site(second, limits={"connections": 2})
    await exchange.answer(make_request())
    assert (len(first.calls), len(second.calls)) == (1, 1)
    assert exchange.limits.connections == 2


@pytest.mark.parametrize("fails", [False, True], ids=["answered", "failed"])
async def test_a_request_under_way_ends_in_the_site_it_began_in(fails: bool) -> None:
    goes_on = asyncio.Event()

    async def part(call: Call) -> Reply:
        await goes_on.wait()
        if fails:
            raise StatusError(Code.ABORTED, "no")
        return Reply(await call.message())

    def mark(name: str) -> Ring:
        return Ring([], [Mark(name)])

    old, new = Records(), Records()
    exchange = Exchange(make_site(Upstream(part), observers=[old], ring=mark("old")))
    request = make_request()
    under_way = asyncio.create_task(exchange.answer(request))
    await turns()
    exchange.site = make_site(Upstream(), observers=[new], ring=mark("new"))
    assert ("X-Mark", "new") in (await exchange.answer(make_request())).headers
    goes_on.set()
    assert ("X-Mark", "old") in (await under_way).headers
    assert (len(old), len(new)) == (1, 1)


def test_bytes_that_are_no_request_are_refused_and_recorded() -> None:
    records = Records()
    exchange = Exchange(make_site(Upstream(), observers=[records]))
    response = exchange.refuse(StatusError(Code.INVALID_ARGUMENT, "no request"), "192.0.2.7")
    assert (response.status, error_of(response)) == (400, "INVALID_ARGUMENT")
    assert "X-Request-Id" in names(response)
    assert [(one.status, one.peer, one.path) for one in records] == [(400, "192.0.2.7", "")]


def test_of_a_refused_request_only_a_path_is_recorded_since_a_target_can_hold_a_password() -> None:
    records = Records()
    exchange = Exchange(make_site(Upstream(), observers=[records]))
    error = StatusError(Code.INVALID_ARGUMENT, "no")
    exchange.refuse(error, "192.0.2.7", "GET", "/v1/items/a")
    exchange.refuse(error, "192.0.2.7", "GET", "http://ada:S3CRET@host/")
    assert [one.path for one in records] == ["/v1/items/a", ""]
