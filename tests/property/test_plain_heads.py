"""Hostile heads: read without the parser exactly as with it, or left to it."""

import asyncio
import random
from collections.abc import Callable, Sequence

import pytest
from aiohttp.http_exceptions import HttpProcessingError

from gateway.config.limits import Limits
from gateway.config.metadata import MetadataOptions
from gateway.http.messages import Request
from gateway.listeners.http1.plain_head import PLAIN_MESSAGE
from gateway.listeners.http1.request_reader import ReceivedRequest, RequestReader
from gateway.status import StatusError
from gateway.transcoding.metadata import MetadataRules
from gateway.upstream.channels.http2.headers import Pairs
from tests.support.reading import QuietConnection

BYTES = b"\x00\r\n\t :;,#?%/*0aZ\x7f\x80\xff"
LINES = [
    *("Accept: */*", "accept: text/plain", "Accept-Encoding: gzip, br", "Accept-Language: en"),
    *("User-Agent: probe/1.0 (a; b)", "user-agent: other", "Cookie: a=b; c=d", "X-Empty:"),
    *("Authorization: Bearer abc", "X-Request-Id: id-1", "traceparent: 00-a-b-01", "X-A: b, c"),
    *("tracestate: a=1", "Content-Type: application/json", 'If-None-Match: "a"', "Etag: x"),
    *("Connection: keep-alive", "Connection: close", "Connection: x-a", "Connection: Upgrade"),
    *("Upgrade: websocket", "Upgrade: h2c", "TE: trailers", "Expect: 100-continue"),
    *("Transfer-Encoding: chunked", "Content-Encoding: gzip", "Content-Length: 5"),
    *("Content-Length: 0", "Content-Length: 05", "Content-Length: +5", "Content-Length: 5, 5"),
    *("Host: other.test", "Host: a b", "Host:  two", "host: gateway.test:80", "Server: x"),
    *("Max-Forwards: 1", "Content-Location: /a", "Content-Range: x", "Grpc-Timeout: 1S"),
    *("X-Data-Bin: AAA", "Sec-WebSocket-Key1: a", "Sec-WebSocket-Key: a", "Trailer: x"),
    *("Keep-Alive: timeout=5", "Proxy-Connection: close", "X-Under_score: a", "X.dot: a"),
    *(" folded: a", "X-Space : a", "No colon", ": no name", "X-Tab:\ta", "X-Two: a  b "),
    *("X-\u00fc: a", "X-Value: \u00fc", "X-Nul: a\0b", "Origin: https://a.test", "X-A: d"),
    *("X-Long: " + "v" * 600, "N" * 70 + ": a", "GET / HTTP/1.1", "Priority: u=1, i"),
]
USUAL = [line for line in LINES[:15] if not line.endswith(":")]
"""Lines that are known by their bytes, if none of their names comes twice."""
FORMED = [
    *("Accept: */*", "User-Agent: probe/1.0 (a; b)", "Connection: keep-alive", "X-A: b"),
    *("traceparent: {one}", "X-Request-Id: {two}", "Cookie: a={three}", "b3: {one}-{two}"),
    *("Cookie: b={two}", "Authorization: Bearer {three}", "tracestate: a={one}", "X-A: d"),
    *("X-Device: {two}", "Accept-Language: {three}"),
]
"""The lines of requests that differ in some values; the names may come twice."""
IDS = [
    "0af7651916cd43dd",
    "00f067aa0ba902b7",
    "7",
    "id.of-other_length",
    *(("53995c3f42cd8ad8",) * 40),
]
IDS += [
    "a b",
    " a",
    "a ",
    "",
    "\u00fc" * 16,
    "0af765\r\n16cd43d",
    "0af765\r\nX-B: cd",
    "0af76519\r\n\r\n",
]
"""Values of one length, of others, and a few that no plain line may have."""
TARGETS = ["/v1/items/a", "/v1/items/a?text=b", "/", "//a", "/a#b", "*", "http://a.test/b", "/%zz"]
BODIES = [b"", b"", b"", b"12345", b"5\r\n12345\r\n0\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"]
RULES = MetadataRules(MetadataOptions())
Read = tuple[Sequence[ReceivedRequest], bool, bytes]


def reader() -> RequestReader:
    loop = asyncio.get_running_loop()
    return RequestReader(QuietConnection(loop), loop, Limits(), websockets=True)


def seen(received: ReceivedRequest) -> object:
    """All that the gateway can see of a request, except the way in which its body arrives."""
    request, message, body = received.request, received.head, received.body
    if isinstance(request, StatusError):
        return request.http_status, str(request), message.method, message.path
    fields = request.fields
    whole = request.body.read_now() if request.body and request.body.is_buffered else None
    return (
        *(request.method, request.path, request.query, request.wants_websocket),
        *([*request.headers.items()], [type(name) for name in request.headers]),
        *(tuple(fields.raw), fields.accept, fields.accept_encoding, fields.content_type),
        *(fields.expect, fields.host, fields.is_conditional, fields.is_encoded, fields.timeout),
        *(fields.request_id, fields.traceparent, fields.user_agent, fields.count(b"accept")),
        *(request.body is None, whole, body.is_eof(), message.should_close),
        *(message.version, message.headers.getall("TE", ()), message.chunked),
    )


def outcome(read: Callable[[bytes], Read], pieces: Sequence[bytes]) -> list[object]:
    """All that is read from these pieces, up to bytes that are not HTTP."""
    found: list[object] = []
    for piece in pieces:
        try:
            requests, upgraded, rest = read(piece)
        except HttpProcessingError as error:
            # What follows the first line quotes the piece, and with it the end of a body before.
            return [*found, type(error), str(error).partition("\n\n")[0]]
        found += [*map(seen, requests), upgraded, bytes(rest)]
        if upgraded or any(one.head.should_close for one in requests):
            break
    return found


def head(chance: random.Random) -> bytes:
    """A request: mostly one with a plain head, otherwise one with lines that attack."""
    return usual(chance) if chance.random() < 0.7 else hostile(chance)


def usual(chance: random.Random) -> bytes:
    """A request as clients send it."""
    lines = ["Host: gateway.test", *chance.choices(USUAL, k=chance.randint(0, 8))]
    lines = list({line.partition(":")[0].lower(): line for line in lines}.values())
    body = chance.choice(BODIES)
    if body:
        lines.append(f"Content-Length: {len(body)}")
    chance.shuffle(lines)
    method = chance.choice(["GET", "POST", "PUT", "DELETE"])
    text = "\r\n".join([f"{method} {chance.choice(TARGETS[:3])} HTTP/1.1", *lines, "", ""])
    return text.encode() + body


def hostile(chance: random.Random) -> bytes:
    """A request with lines that occur, and some that attack."""
    lines = ["Host: gateway.test"] if chance.random() < 0.95 else []
    lines += chance.choices(chance.choice([LINES, USUAL]), k=chance.randint(0, 6))
    if chance.random() < 0.3:
        lines = list(dict.fromkeys(lines))
    chance.shuffle(lines)
    method = chance.choice(["GET", "GET", "POST", "DELETE", "HEAD", "OPTIONS", "get", "CONNECT"])
    version = "HTTP/1.1" if chance.random() < 0.95 else chance.choice(["HTTP/1.0", "HTTP/2.0"])
    body = chance.choice(BODIES)
    if body and chance.random() < 0.7:
        lines.append(f"Content-Length: {len(body)}")
    end = "\n" if chance.random() < 0.02 else "\r\n"
    text = end.join([f"{method} {chance.choice(TARGETS)} {version}", *lines, "", ""])
    return text.encode("latin-1") + body


def mutant(chance: random.Random, data: bytes) -> bytes:
    """The same bytes, or with a few of them replaced, added, lost or repeated."""
    if chance.random() < 0.6:
        return data
    changed = bytearray(data)
    for _ in range(chance.randint(1, 2)):
        at = chance.randrange(len(changed))
        kind = chance.randrange(4)
        if kind == 0:
            changed[at] = chance.choice(BYTES)
        elif kind == 1:
            changed.insert(at, chance.choice(BYTES))
        elif kind == 2:
            del changed[at]
        else:
            changed[at:at] = changed[at : at + chance.randint(1, 40)]
    return bytes(changed)


def cut(chance: random.Random, requests: Sequence[bytes]) -> list[bytes]:
    """The reads in which requests arrive: mostly one for each, otherwise cut anywhere."""
    if chance.random() < 0.6:
        return list(requests)
    data = b"".join(requests)
    places = sorted(chance.sample(range(1, len(data)), min(chance.randint(0, 5), len(data) - 1)))
    return [data[a:b] for a, b in zip([0, *places], [*places, len(data)], strict=True)]


@pytest.mark.parametrize("seed", range(4))
async def test_every_head_is_read_as_the_parser_reads_it(seed: int) -> None:
    chance = random.Random(seed)
    plain = 0
    for _ in range(700):
        first = head(chance)
        requests = [mutant(chance, first if chance.random() < 0.4 else head(chance))]
        requests += [mutant(chance, chance.choice([first, head(chance)])) for _ in range(3)]
        pieces = cut(chance, requests)
        made = reader()

        def read(data: bytes, made: RequestReader = made) -> Read:
            nonlocal plain
            result = made.read(data)
            plain += sum([one.head is PLAIN_MESSAGE for one in result[0]])
            return result

        found = outcome(read, pieces)
        assert found == outcome(reader().parse, pieces), pieces
    # Of 2,800 heads. Otherwise the parser would only be compared with itself.
    assert plain > 300


def of_one_form(chance: random.Random, number: int) -> list[bytes]:
    """Requests with the same lines, but for those that differ in each request of a client."""
    lines = ["Host: gateway.test", *chance.sample(FORMED, k=chance.randint(1, len(FORMED)))]
    chance.shuffle(lines)
    body = chance.choice(["", "", "{body}"])
    if body:
        lines.insert(chance.randint(0, len(lines)), "Content-Length: {length}")
    form = "\r\n".join(["{method} /v1/items/a HTTP/1.1", *lines, "", body])
    found: list[bytes] = []
    for _ in range(number):
        text = "5" * chance.randint(1, 12)
        values = {name: chance.choice(IDS) for name in ("one", "two", "three")}
        filled = form.format(
            method="POST" if body else "GET", body=text, length=len(text), **values
        )
        found.append(filled.encode("latin-1"))
    return found


def compare(requests: Sequence[bytes]) -> int:
    """Reads requests as they are read and by the parser; returns how many had a known form."""
    made, formed = reader(), 0

    def read(data: bytes) -> Read:
        nonlocal formed
        result = made.read(data)
        for received in result[0]:
            request = received.request
            if isinstance(request, Request) and request.fields.form is not None:
                formed += 1
                check_metadata(request)
        return result

    assert outcome(read, requests) == outcome(reader().parse, requests), requests
    return formed


@pytest.mark.parametrize("seed", range(4))
async def test_heads_of_one_form_are_read_as_the_parser_reads_them(seed: int) -> None:
    chance = random.Random(seed)
    formed = 0
    for _ in range(150):
        requests = of_one_form(chance, 6)
        requests += [mutant(chance, one) for one in of_one_form(chance, 2)]
        requests += [mutant(chance, one) for one in requests[:5]]
        formed += compare(requests)
    # Of 1,950 heads. Otherwise no form would have been compared.
    assert formed > 200


def check_metadata(request: Request) -> None:
    """Compares the encoded metadata of a request with that of its fields, one by one."""
    parts: list[bytes] = []
    Pairs().encode(RULES.to_metadata(request.fields.raw), parts)
    assert request.fields.encode(RULES, b"rest") == b"".join([*parts, b"rest"])


@pytest.mark.parametrize("seed", range(4))
async def test_heads_of_several_clients_on_one_connection_are_read_as_the_parser_reads_them(
    seed: int,
) -> None:
    chance = random.Random(seed)
    formed = 0
    for _ in range(40):
        clients = [of_one_form(chance, 12) for _ in range(20)]
        clients = [one for one in clients if len(outcome(reader().parse, one)) == 36][:6]
        # Two in a row of each, so that their forms are known, and then in any order.
        requests = [client.pop() for client in clients for _ in range(2)]
        rest = [one for client in clients for one in client]
        requests += chance.sample(rest, len(rest))
        requests += [mutant(chance, chance.choice(rest)) for _ in range(4)]
        formed += compare(requests)
    assert formed > 200


@pytest.mark.parametrize("seed", range(2))
async def test_lines_become_the_metadata_that_their_fields_become(seed: int) -> None:
    chance = random.Random(seed)
    checked = 0
    for _ in range(1000):
        for received in _requests(reader(), head(chance)):
            request = received.request
            if received.head is not PLAIN_MESSAGE or not isinstance(request, Request):
                continue
            check_metadata(request)
            checked += 1
    assert checked > 100


def _requests(made: RequestReader, data: bytes) -> Sequence[ReceivedRequest]:
    try:
        return made.read(data)[0]
    except HttpProcessingError:
        return ()
