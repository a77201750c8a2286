"""Responses as bytes."""

import math
from email.utils import parsedate_to_datetime

import pytest

from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.memory import MemoryCache
from gateway.call import Forms, Reply
from gateway.config.cache import CacheOptions
from gateway.http.messages import Headers, Response, ResponseForm
from gateway.http.sent_lines import MOST_CHARACTERS
from gateway.listeners.http1.response_bytes import (
    http_date,
    plain_response,
    response_bytes,
)

DATE = "Mon, 23 Nov 2026 15:00:00 GMT"
JSON = "application/json"


def written(response: Response, connection: str = "", **how: bool) -> bytes:
    how = {"head_only": False, "with_trailers": False} | how
    return b"".join(response_bytes(response, DATE, connection, **how))


def test_head_and_body_follow_each_other() -> None:
    assert written(Response(200, [("X-A", "b")], b"{}", JSON)) == (
        b"HTTP/1.1 200 OK\r\nDate: Mon, 23 Nov 2026 15:00:00 GMT\r\n"
        b"Content-Type: application/json\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}"
    )


@pytest.mark.parametrize("trailers", [None, [("x-a", "1")]])
def test_a_body_that_is_part_of_a_message_is_sent_as_if_it_were_alone(
    trailers: Headers | None,
) -> None:
    body = b"a" * 70_000
    part = Response(200, [], b"", JSON, trailers=trailers)
    part.part = memoryview(b"head" + body)[4:]
    alone = Response(200, [], body, JSON, trailers=trailers)
    assert plain_response(part, DATE) is None
    for head_only in (True, False):
        sent = written(part, head_only=head_only, with_trailers=True)
        assert sent == written(alone, head_only=head_only, with_trailers=True)
    assert part.body_bytes == 70_000
    assert part.body == body
    part.body = b"{}"
    assert written(part).endswith(b"Content-Length: 2\r\n\r\n{}")


@pytest.mark.parametrize("connection", ["close", "keep-alive"])
def test_the_connection_header_is_the_last(connection: str) -> None:
    sent = written(Response(200, [("X-A", "b")], b"{}", JSON), connection)
    assert sent.endswith(f"X-A: b\r\nConnection: {connection}\r\n\r\n{{}}".encode())


def test_trailers_make_it_chunked() -> None:
    response = Response(200, [], b"{}", JSON, trailers=[("x-a", "1"), ("x-b", "2"), ("x-a", "3")])
    assert written(response, with_trailers=True).endswith(
        b"Transfer-Encoding: chunked\r\nTrailer: x-a, x-b\r\n\r\n"
        b"2\r\n{}\r\n0\r\nx-a: 1\r\nx-b: 2\r\nx-a: 3\r\n\r\n"
    )
    assert b"Content-Length: 2\r\n" in written(response)


def test_an_empty_body_has_no_chunk_of_its_own() -> None:
    response = Response(200, [], b"", JSON, trailers=[("x-a", "1")])
    assert written(response, with_trailers=True).endswith(b"\r\n\r\n0\r\nx-a: 1\r\n\r\n")


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (499, b"HTTP/1.1 499 Client Closed Request\r\n"),
        (599, b"HTTP/1.1 599 Unknown\r\n"),
        (418, b"HTTP/1.1 418 I'm a Teapot\r\n"),
    ],
)
def test_every_status_has_a_line(status: int, line: bytes) -> None:
    assert written(Response(status, [], b"", JSON)).startswith(line)


@pytest.mark.parametrize("status", [204, 304])
def test_some_statuses_have_no_content_whatever_is_there(status: int) -> None:
    sent = written(Response(status, [], b"{}", JSON, trailers=[("x-a", "1")]), with_trailers=True)
    assert sent.endswith(b"GMT\r\n\r\n")


def test_the_date_is_one() -> None:
    assert parsedate_to_datetime(http_date()).tzinfo is not None
    assert http_date().endswith(" GMT")


@pytest.mark.parametrize(
    "response",
    [
        Response(200, [], b"{}", JSON),
        Response(200, [("x-a", "1"), ("X-B", "2")], b"", JSON),
        Response(200, [("x-a", "1")], b"abc"),
        Response(201, [], b"{}", JSON),
        Response(404, [("x-a", "1")], b"{}", JSON),
        Response(499, [], b"{}", JSON),
    ],
)
def test_a_plain_response_is_what_the_long_way_makes_of_it(response: Response) -> None:
    response.fixed = "X-Fixed: 1\r\n"
    assert plain_response(response, DATE) == written(response)


OWN: Headers = [("Age", "1")]


def complete(form: ResponseForm, own: Headers, variant: str, request_id: str) -> Response:
    """A response of a form, with a head that is that of an equal one if there is one."""
    response = form.response()
    if not form.repeat_head(response, own, variant, request_id):
        response.fixed = "X-Fixed: 1\r\n"
        response.headers += [*own, ("X-Request-Id", request_id), ("X-Variant", variant)]
        form.keep_head(response, own, variant)
    return response


@pytest.mark.parametrize("status", [200, 203])
def test_equal_responses_to_one_stored_reply_differ_in_the_id_alone(status: int) -> None:
    form = ResponseForm(Forms(), Reply(b"stored"), Response(status, [("X-A", "b")], b"{}", JSON))
    repeated = 0
    for own, variant, request_id in [
        (OWN, "", "a"),
        (OWN, "", "bc"),  # another length
        (OWN, "", ""),
        ([("Age", "2")], "", "d"),
        (OWN, "", "e"),  # kept beside the other
        (OWN, "of a page", "f"),
        ([*OWN, ("X-B", "c")], "", "g"),
        ([], "", "h"),
        ([], "", "i"),
    ]:
        response = complete(form, own, variant, request_id)
        repeated += response.sent is not None
        assert ("X-Request-Id", request_id) in response.headers
        assert ("X-Variant", variant) in response.headers
        assert response.headers[1 : 1 + len(own)] == own
        assert plain_response(response, DATE) == written(response)
        response.date = "Mon, 23 Nov 2026 16:00:00 GMT"
        assert plain_response(response, DATE) == written(response)
        assert plain_response(response, "") == written(response)
    assert repeated == 4


def test_two_heads_that_take_turns_are_both_kept() -> None:
    form = ResponseForm(Forms(), Reply(b"stored"), Response(200, [], b"{}", JSON))
    made = [complete(form, OWN, page, "id") for page in ("a", "b", "a", "b", "a", "c", "a", "b")]
    assert [one.sent is not None for one in made] == [*[False] * 2, *[True] * 3, False, True, False]


def test_the_head_of_the_body_in_gzip_is_another_one() -> None:
    entry = Entry(b"key", b"stored", [], [], Times(0.0, math.inf, math.inf, math.inf), "", ["/a"])
    MemoryCache(CacheOptions()).put(entry)
    assert entry.forms is not None
    form = ResponseForm(entry.forms, Reply(b"stored"), Response(200, [], b"{}", JSON))
    plain = complete(form, OWN, "", "id")
    assert form.keep_gzipped(b"gzip")
    coded = form.response()
    coded.body = form.gzipped
    assert plain.sent is None
    assert not form.repeat_head(coded, OWN, "", "id")


def test_long_heads_and_those_with_trailers_are_not_kept() -> None:
    for length, is_kept in ((MOST_CHARACTERS // 4, True), (MOST_CHARACTERS, False)):
        form = ResponseForm(Forms(), Reply(b"stored"), Response(200, [], b"{}", JSON))
        for own, variant in ([("X-A", "b" * length)], ""), (OWN, "b" * length):
            made = [complete(form, own, variant, "id") for _ in range(2)]
            assert (made[1].sent is not None) is is_kept
    trailing = Response(200, [], b"{}", JSON, trailers=[("x-a", "1")])
    form = ResponseForm(Forms(), Reply(b"stored"), trailing)
    assert [complete(form, OWN, "", "id").sent for _ in range(2)] == [None, None]


@pytest.mark.parametrize(
    "response",
    [
        Response(299, [], b"{}", JSON),
        Response(204, []),
        Response(205, []),
        Response(304, []),
        Response(404, [], b"{}", JSON, trailers=[("x-a", "1")]),
        Response(200, [], b"{}", JSON, trailers=[("x-a", "1")]),
        Response(200, [], bytes(100_000), JSON),
    ],
)
def test_what_needs_more_questions_is_not_plain(response: Response) -> None:
    assert plain_response(response, DATE) is None
