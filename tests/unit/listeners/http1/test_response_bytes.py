"""Responses as bytes."""

from email.utils import parsedate_to_datetime

import pytest

from gateway.call import Forms, Reply
from gateway.http.messages import Headers, Response, ResponseForm
from gateway.http.sent_lines import MOST_CHARACTERS
from gateway.listeners.http1.response_bytes import (
    http_date,
    is_plain,
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
    assert is_plain(response)
    assert plain_response(response, DATE) == written(response)


AGE, VARY = ("Age", "1"), ("Vary", "Origin")


@pytest.mark.parametrize("status", [200, 203])
def test_equal_responses_to_one_stored_reply_differ_in_the_id_alone(status: int) -> None:
    form = ResponseForm(Forms(), Reply(b"stored"), Response(status, [], b"{}", JSON))
    heads: list[tuple[str, Headers]] = [
        ("X-Fixed: 1\r\n", [AGE, ("X-Request-Id", "a"), VARY]),
        ("X-Fixed: 1\r\n", [AGE, ("X-Request-Id", "bc"), VARY]),
        ("X-Fixed: 1\r\n", [AGE, ("X-Request-Id", ""), VARY]),
        ("X-Fixed: 1\r\n", [("Age", "2"), ("X-Request-Id", "d"), VARY]),
        ("X-Fixed: 1\r\n", [AGE, ("X-Request-Id", "d"), VARY]),
        ("", [AGE, ("X-Request-Id", "d"), VARY]),
        ("", [AGE, ("X-Request-Id", "d"), VARY, ("X-A", "b")]),
        ("", [AGE, ("X-Request-Id", "d")]),
        ("", [("X-Request-Id", "d"), AGE]),
        ("", [("X-B", "d"), AGE]),
        ("", []),
        ("", [("X-Request-Id", "e")]),
    ]
    for fixed, headers in heads:
        response = form.response()
        response.fixed, response.headers = fixed, headers.copy()
        assert plain_response(response, DATE) == written(response), headers
        response.body = b"compressed"
        response.date = "Mon, 23 Nov 2026 16:00:00 GMT"
        assert plain_response(response, DATE) == written(response), headers


def test_the_lines_of_an_equal_response_are_not_made_again() -> None:
    form = ResponseForm(Forms(), Reply(b"stored"), Response(200, [], b"{}", JSON))
    made = []
    for own_id in "ab":
        response = form.response()
        # Equal, and not the same objects: machine code makes tuples anew.
        response.headers = [(name, "1") for name in ("Age", "X-Request-Id", "Vary")]
        response.headers[1] = ("X-Request-Id", own_id)
        plain_response(response, DATE)
        made.append(form.sent)
    assert made[0] is not None
    assert made[0] is made[1]


def test_the_lines_of_a_response_to_a_stored_reply_are_kept_if_they_are_few() -> None:
    form = ResponseForm(Forms(), Reply(b"stored"), Response(200, [], b"{}", JSON))
    for length, is_kept in ((MOST_CHARACTERS // 2, True), (MOST_CHARACTERS, False)):
        response = form.response()
        response.headers = [("X-A", "b" * length), ("X-Request-Id", "a")]
        assert plain_response(response, DATE) == written(response)
        assert (form.sent is not None) is is_kept


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
    assert not is_plain(response)
