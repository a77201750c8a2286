"""Requests with plain heads: read without the parser, and never otherwise than by it."""

import asyncio
import random
import tracemalloc
from collections.abc import Callable

import pytest
from aiohttp.http_exceptions import HttpProcessingError

from gateway.config.limits import Limits
from gateway.http.header_fields import HeadForm
from gateway.http.messages import Request
from gateway.listeners.http1.body import WholeBody
from gateway.listeners.http1.plain_head import PLAIN_MESSAGE
from gateway.listeners.http1.request_reader import ReceivedRequest, RequestReader
from gateway.status import StatusError
from tests.support.front_end import chunked, get, post
from tests.support.reading import QuietConnection

GET = get("/v1/items/a?text=b", "Accept: */*", "User-Agent: probe/1.0", "Cookie: a=b")
POST = post("/v1/items", b'{"text":"b"}', "Content-Type: application/json", "Accept: */*")
LAST = post("/v1/items", b'{"text":"bcd"}', "Accept: */*")
CODED = post("/v1/items", b"zip", "Content-Encoding: gzip")
AWAITED = post("/v1/items", b"{}", "Expect: 100-continue")
CHUNKED = chunked("/v1/items", b'{"text"', b':"b"}')
UPGRADE = get("/v1/items/a", "Connection: Upgrade", "Upgrade: websocket")
BYTES = b"\x00\r\n\t :;,#?%/*0aZ\x7f\x80\xff"


def request_reader(limits: Limits | None = None) -> RequestReader:
    loop = asyncio.get_running_loop()
    return RequestReader(QuietConnection(loop), loop, limits or Limits(), websockets=False)


def knowing(first: bytes, limits: Limits | None = None) -> RequestReader:
    """What has read a request twice, and remembers it."""
    made = request_reader(limits)
    made.read(first)
    made.read(first)
    return made


def unknowing(first: bytes) -> RequestReader:
    """The same without the memory: what comes in two pieces is not learned."""
    made = request_reader()
    for _ in range(2):
        made.read(first[:9])
        made.read(first[9:])
    return made


def told(received: ReceivedRequest) -> object:
    """All that can be asked of a request, but how its body comes."""
    request, message, body = received.request, received.head, received.body
    if isinstance(request, StatusError):
        return request.http_status, message.method, message.path
    fields = request.fields
    whole = request.body.read_now() if request.body and request.body.is_buffered else None
    return (
        *(request.method, request.path, request.query, request.peer),
        *(list(request.headers.items()), tuple(fields.raw), fields.accept, fields.content_type),
        *(request.body is None, whole, body.is_eof()),
        *(message.version, message.should_close, message.method == "HEAD"),
    )


def outcome(reader: RequestReader, *pieces: bytes) -> list[object]:
    """What is read from these pieces, up to what is no HTTP."""
    found: list[object] = []
    for piece in pieces:
        try:
            read, upgraded, rest = reader.read(piece)
        except HttpProcessingError as error:
            return [*found, type(error)]
        found += [*map(told, read), upgraded, bytes(rest)]
    return found


def is_plain(reader: RequestReader, data: bytes) -> bool:
    """Whether a request is read without the parser."""
    try:
        read, _, _ = reader.read(data)
    except HttpProcessingError:
        return False
    return len(read) == 1 and read[0].head is PLAIN_MESSAGE


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(GET, GET, id="the same"),
        pytest.param(GET, GET.replace(b"/v1/items/a?text=b", b"/"), id="another target"),
        pytest.param(GET, GET.replace(b"GET", b"DELETE"), id="another method"),
        pytest.param(GET, GET.replace(b"a=b", b"a=c"), id="another field"),
        pytest.param(GET, GET.replace(b"Cookie: a=b\r\n", b""), id="a field less"),
        pytest.param(POST, POST, id="the same with a body"),
        pytest.param(POST, POST.replace(b"text", b"name"), id="another body"),
        pytest.param(
            POST,
            POST.replace(b'"b"', b'"long"').replace(b"Length: 12", b"Length: 15"),
            id="a longer body",
        ),
        pytest.param(LAST, LAST.replace(b"14", b"2").replace(b'{"text":"bcd"}', b"{}"), id="short"),
    ],
)
async def test_what_repeats_is_not_parsed_again(first: bytes, then: bytes) -> None:
    reader = knowing(first)
    for data in (then, first, then):
        assert is_plain(reader, data)
    assert outcome(reader, then, first) == outcome(unknowing(first), then, first)


@pytest.mark.parametrize("line", ["Cookie: {}", "X-Request-Id: {}", "TE: trailers\r\nCookie: {}"])
async def test_a_large_head_is_not_kept(line: str) -> None:
    reader = request_reader()
    large = [get("/", line.format(f"{end:a>9000}")) for end in range(8)]
    reader.read(GET)
    tracemalloc.start()
    try:
        assert [len(reader.read(data)[0]) for data in large] == 8 * [1]
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept_bytes < 9000
    assert outcome(reader, *large, GET) == outcome(request_reader(), *large, GET)


@pytest.mark.parametrize(
    ("first", "then"),
    [
        pytest.param(GET, GET.replace(b"GET", b"HEAD"), id="HEAD"),
        pytest.param(GET, GET.replace(b"GET", b"OPTIONS"), id="OPTIONS"),
        pytest.param(GET, GET.replace(b"1.1\r", b"1.0\r"), id="HTTP/1.0"),
        pytest.param(GET, GET.replace(b" /v1", b" //v1"), id="perhaps an authority"),
        pytest.param(GET, GET.replace(b" /v1", b" http://a/v1"), id="an absolute target"),
        pytest.param(GET, GET.replace(b"text=b", b"text=\xc3\xbc"), id="a target beyond ASCII"),
        pytest.param(GET, GET.replace(b"text=b", b"text=#"), id="a fragment"),
        pytest.param(GET, b"\r\n" + GET, id="an empty line first"),
        pytest.param(GET, GET + b"G", id="more behind"),
        pytest.param(GET, GET + GET, id="two at once"),
        pytest.param(GET, GET[:-1], id="a byte too few"),
        pytest.param(POST, POST[:-1], id="part of a body"),
        pytest.param(POST, POST + b" ", id="more than the body"),
        pytest.param(POST, POST.replace(b"Length: 12", b"Length: 012"), id="an odd length"),
        pytest.param(POST, POST.replace(b"Length: 12", b"Length: +12"), id="a length with a sign"),
        pytest.param(POST, POST.replace(b"Length: 12", b"Length: 2"), id="a length too small"),
        pytest.param(CODED, CODED, id="packed"),
        pytest.param(AWAITED, AWAITED, id="100-continue"),
        pytest.param(CHUNKED, CHUNKED, id="chunks"),
        pytest.param(UPGRADE, GET, id="an upgrade"),
    ],
)
async def test_what_is_otherwise_is_parsed(first: bytes, then: bytes) -> None:
    assert not is_plain(knowing(first), then)
    assert outcome(knowing(first), then, GET) == outcome(unknowing(first), then, GET)


async def test_a_long_request_line_is_not_kept() -> None:
    reader = knowing(GET)
    assert reader._plain_heads._line_data == GET[: GET.index(b"\n") + 1]
    long = GET.replace(b"/v1/", b"/" + b"v" * 300 + b"/")
    assert is_plain(reader, long)
    assert outcome(reader, long, GET) == outcome(unknowing(GET), long, GET)
    assert reader._plain_heads._line_data == GET[: GET.index(b"\n") + 1]


@pytest.mark.parametrize("target", ["/", "/v1/items/b?text=c", "/v1/items/abc?text=d", "/v1/other"])
async def test_a_request_line_of_any_length_is_read(target: str) -> None:
    then = get(target, "Accept: */*", "User-Agent: probe/1.0", "Cookie: a=b")
    assert is_plain(knowing(GET), then)
    assert outcome(knowing(GET), then, GET) == outcome(unknowing(GET), then, GET)


async def test_a_request_line_without_a_target_is_refused_by_the_parser() -> None:
    then = b"DELETE HTTP/1.1\r\nHost: a\r\n\r\n"
    assert outcome(knowing(GET), then, GET) == outcome(unknowing(GET), then, GET)


async def test_a_field_that_ends_where_the_last_request_line_did_is_no_part_of_the_line() -> None:
    then = get("/", "Accept: */*")
    end = GET.index(b"\r\n")
    then = then.replace(b"\r\n", b"\r\nX: " + b"a" * (end - then.index(b"\r\n") - 5) + b"\r\n", 1)
    assert then[end : end + 2] == b"\r\n"
    assert is_plain(knowing(GET), then)
    assert outcome(knowing(GET), then, GET) == outcome(unknowing(GET), then, GET)


async def test_the_second_half_of_a_head_is_never_a_request() -> None:
    # What was looked at in two pieces could be two requests, or one whose field names the other.
    reader = knowing(GET)
    start, rest = b"POST / HTTP/1.1\r\nHost: a\r\nX: ", GET
    assert outcome(reader, start, rest) == outcome(unknowing(GET), start, rest)
    reader = knowing(GET)
    whole_and_start = GET + start
    assert outcome(reader, whole_and_start, rest) == outcome(unknowing(GET), whole_and_start, rest)


async def test_a_body_in_pieces_is_never_a_request() -> None:
    head = post("/v1/items", GET, "Accept: */*")[: -len(GET)]
    reader = knowing(GET)
    assert outcome(reader, head, GET, GET) == outcome(unknowing(GET), head, GET, GET)


@pytest.mark.parametrize("limits", [{"body_bytes": 13}, {"stream_bytes": 13}])
async def test_bodies_over_a_limit_are_parsed(limits: dict[str, int]) -> None:
    longer = POST.replace(b'"b"', b'"bcd"').replace(b"Length: 12", b"Length: 14")
    assert is_plain(knowing(POST, Limits(**limits)), POST)
    assert not is_plain(knowing(POST, Limits(**limits)), longer)
    assert not is_plain(knowing(longer, Limits(**limits)), longer)


async def test_targets_over_the_limit_are_parsed() -> None:
    limits = Limits(url_bytes=20)
    assert is_plain(knowing(GET, limits), GET)
    longer = GET.replace(b"text=b", b"text=bcde")
    assert not is_plain(knowing(GET, limits), longer)
    [received], _, _ = knowing(GET, limits).read(longer)
    refusal = received.request
    assert isinstance(refusal, StatusError)
    assert refusal.http_status == 414


async def test_fields_tell_the_length_of_the_body_they_came_with() -> None:
    reader = knowing(POST)
    longer = POST.replace(b'"b"', b'"bcd"').replace(b"Length: 12", b"Length: 14")
    [received], _, _ = reader.read(longer)
    request = received.request
    assert isinstance(request, Request)
    assert isinstance(request.body, WholeBody)
    assert request.headers["content-length"] == "14"
    assert (b"Content-Length", b"14") in request.fields.raw
    [received], _, _ = reader.read(POST)
    before = received.request
    assert isinstance(before, Request)
    assert before.headers["Content-Length"] == "12"
    assert request.headers["Content-Length"] == "14"


async def test_a_line_is_read_once_while_a_client_sends_the_same() -> None:
    reader = request_reader()
    tokens = ["ada", "ada", "ada", "ada", "bob", "ada"]
    shown: list[str | None] = []
    for number, token in enumerate(tokens):
        lines = ("X-Key: k", f"traceparent: {number}", f"Authorization: Bearer {token}")
        [received], _, _ = reader.read(get("/v1/items/a", *lines))
        request = received.request
        assert isinstance(request, Request)
        assert request.fields.first(b"traceparent") == request.fields.traceparent == str(number)
        assert request.fields.first(b"x-key") == "k"
        assert request.fields.first(b"x-other") is None
        shown.append(request.fields.first(b"authorization"))
    assert shown == [f"Bearer {token}" for token in tokens]
    assert shown[2] is shown[3]
    assert shown[3] is not shown[5]


async def test_the_forms_of_several_clients_are_known_on_one_connection() -> None:
    reader = request_reader()

    def sent(client: int, number: int) -> HeadForm | None:
        lines = (f"X-Client-{client}: a", f"X-Device: {number}", f"traceparent: {number}")
        [received], _, _ = reader.read(get("/v1/items/a", *lines))
        request = received.request
        assert isinstance(request, Request)
        assert request.headers[f"X-Client-{client}"] == "a"
        assert request.headers["X-Device"] == request.fields.traceparent == str(number)
        return request.fields.form

    for client in range(4):
        sent(client, 1)
        sent(client, 2)
    forms = [sent(client, 3) for client in range(4)]
    assert None not in forms
    assert len(set(forms)) == 4
    assert [sent(client, 4) for client in reversed(range(4))] == forms[::-1]
    for number in range(3):  # one more takes the place of the oldest
        sent(4, number)
    assert sent(4, 5) is not None
    assert [sent(client, 6) is not None for client in range(4)] == [False, True, True, True]


async def test_connections_share_the_form_of_a_head_but_none_of_its_secrets() -> None:
    forms: list[HeadForm | None] = []
    for token in ("ada", "bob"):
        reader = request_reader()
        for number in range(3):
            lines = ("X-Shared: a", f"Authorization: Bearer {token}", f"X-Number: {number}")
            [received], _, _ = reader.read(get("/v1/items/a", *lines))
            request = received.request
        assert isinstance(request, Request)
        assert request.fields.first(b"authorization") == f"Bearer {token}"
        assert request.headers["X-Number"] == "2"
        forms.append(request.fields.form)
    assert forms[0] is not None
    assert forms[0] is forms[1]
    assert [line.text for line in forms[0]._lines if line.name.lower == b"authorization"] == [""]


@pytest.mark.parametrize(("size", "is_kept"), [(7_900, True), (8_200, False)])
async def test_the_form_of_a_long_head_is_not_kept(size: int, *, is_kept: bool) -> None:
    reader = request_reader()
    for number in range(3):
        sent = get("/v1/items/a", f"Cookie: {'c' * size}", f"traceparent: {number}")
        [received], _, _ = reader.read(sent)
        request = received.request
    assert isinstance(request, Request)
    assert (request.fields.form is not None) == is_kept


def mutant(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    at = chance.randrange(len(changed))
    changes: list[Callable[[], object]] = [
        lambda: changed.__setitem__(at, chance.choice(BYTES)),
        lambda: changed.insert(at, chance.choice(BYTES)),
        lambda: changed.pop(at),
        lambda: changed.__setitem__(slice(at, at), changed[at : at + chance.randint(1, 40)]),
    ]
    for change in chance.sample(changes, chance.randint(1, 2)):
        at = chance.randrange(len(changed))
        change()
    return bytes(changed)


@pytest.mark.parametrize("first", [GET, POST, LAST], ids=["GET", "POST", "length last"])
async def test_whatever_comes_is_read_as_the_parser_reads_it(first: bytes) -> None:
    chance = random.Random(len(first))
    repeated = 0
    for _ in range(1500):
        then = mutant(chance, first)
        repeated += is_plain(knowing(first), then)
        expected = outcome(unknowing(first), then, first, GET)
        assert outcome(knowing(first), then, first, GET) == expected, then
    assert repeated > 30
