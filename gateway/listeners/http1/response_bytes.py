"""Serializes responses to bytes (RFC 9112)."""

from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from gateway.http.messages import Response
from gateway.listeners.write_batch import MAX_JOINED_BYTES

_STATUS_LINES: Final = {
    status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus
} | {499: "HTTP/1.1 499 Client Closed Request\r\n"}
_OK_DATE: Final = f"{_STATUS_LINES[200]}Date: "
_KIND: Final = "\r\nContent-Type: "
_LENGTH: Final = "\r\nContent-Length: "
_WITHOUT_CONTENT: Final = (101, 204, 205, 304)
_STARTS: Final[dict[str, str]] = {}
"""The beginnings of lines by the names of their fields."""
_MOST_STARTS: Final = 256
_LONGEST_START: Final = 64


class _Opening:
    """The lines of a head up to the name of Content-Length; never changed, for threads share it."""

    __slots__ = ("date", "kind", "status", "text")

    def __init__(self, status: int, date: str, kind: str) -> None:
        self.status, self.date, self.kind = status, date, kind
        about = f"{_KIND}{kind}" if kind else ""
        self.text = f"{_STATUS_LINES[status]}Date: {date}{about}{_LENGTH}"


class _Openings:
    """Keeps the last opening, which most responses of one second have in common."""

    def __init__(self) -> None:
        self._last = _Opening(200, "", "")

    def of(self, status: int, date: str, kind: str) -> str:
        """Returns the lines for a status, a date and a media type."""
        last = self._last
        if status != last.status or date is not last.date or kind is not last.kind:
            last = _Opening(status, date, kind)
            self._last = last
        return last.text


_openings: Final = _Openings()


def http_date() -> str:
    """Returns the value of the Date header for the current second (RFC 9110 section 5.6.7)."""
    return formatdate(usegmt=True)


def response_bytes(
    response: Response, date: str, connection: str, *, head_only: bool, with_trailers: bool
) -> tuple[bytes, bytes | memoryview]:
    """Returns head and body; `connection` is the value of that header, or "" to omit it."""
    status = response.status
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"
    fields = response.fixed
    for name, value in response.headers:  # one or two, as a rule: joining a list costs more
        fields += f"{name}: {value}\r\n"
    if connection:
        fields += f"Connection: {connection}\r\n"
    if status in _WITHOUT_CONTENT:
        # RFC 9110 section 15.3.6: of these statuses, only 205 states a length, which is 0.
        length = "Content-Length: 0\r\n" if status == 205 else ""
        return f"{line}Date: {response.date or date}\r\n{length}{fields}\r\n".encode("latin-1"), b""
    kind = f"Content-Type: {response.content_type}\r\n" if response.content_type else ""
    if with_trailers and response.trailers and not head_only:
        names = ", ".join(dict.fromkeys([name for name, _ in response.trailers]))
        framing = f"Transfer-Encoding: chunked\r\nTrailer: {names}\r\n"
        body: bytes | memoryview = _chunks(response.body, response.trailers)
    else:
        framing = f"Content-Length: {response.body_bytes}\r\n"
        body = b"" if head_only else response.part or response.body
    head = f"{line}Date: {response.date or date}\r\n{kind}{framing}{fields}\r\n"
    return head.encode("latin-1"), body


def plain_response(response: Response, date: str) -> bytes | None:
    """Returns the same bytes as `response_bytes`, in one piece and with fewer checks.

    The connection stays open. Returns None for a response that has more than a usual one.
    """
    status = response.status
    if status != 200 and (status in _WITHOUT_CONTENT or status not in _STATUS_LINES):
        return None
    if response.trailers or response.part is not None:
        return None
    body = response.body
    if len(body) > MAX_JOINED_BYTES:
        return None
    date, kind = response.date or date, response.content_type
    if response.sent is not None:
        start = _OK_DATE if status == 200 else f"{_STATUS_LINES[status]}Date: "
        return response.sent.written(start, date, kind, response.headers, body)
    # As machine code, an f-string copies character by character, and `join` whole texts.
    parts = [_openings.of(status, date, kind), str(len(body)), "\r\n", response.fixed]
    for name, value in response.headers:
        field = _STARTS.get(name)
        parts.append(_start(name) if field is None else field)
        parts.append(value)
        parts.append("\r\n")
    parts.append("\r\n")
    return "".join(parts).encode("latin-1") + body


def _start(name: str) -> str:
    """Returns the beginning of a field's line, and remembers it for the next responses."""
    start = f"{name}: "
    if len(start) <= _LONGEST_START:
        if len(_STARTS) >= _MOST_STARTS:  # back ends choose names too
            _STARTS.clear()
        _STARTS[name] = start
    return start


def stream_head(response: Response, date: str, connection: str, framing: str) -> bytes:
    """Returns the head of a streamed response.

    `framing` is the header line that delimits the body. If it is empty, the body ends with the
    connection.
    """
    status = response.status
    line = _STATUS_LINES.get(status) or f"HTTP/1.1 {status} Unknown\r\n"
    kind = response.content_type
    fields = [f"Date: {date}\r\nContent-Type: {kind}\r\n{framing}{response.fixed}"]
    fields += [f"{name}: {value}\r\n" for name, value in response.headers]
    if connection:
        fields.append(f"Connection: {connection}\r\n")
    return f"{line}{''.join(fields)}\r\n".encode("latin-1")


def _chunks(body: bytes, trailers: list[tuple[str, str]]) -> bytes:
    """Returns the body as one chunk, followed by the trailers (RFC 9112 section 7.1)."""
    chunk = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
    section = "".join([f"{name}: {value}\r\n" for name, value in trailers])
    return b"%b0\r\n%b\r\n" % (chunk, section.encode("latin-1"))
