"""Reads the requests of one connection whose heads have a plain form, without the parser.

Most requests have heads of known lines: they, or other requests, have sent the same lines before.
A parsed line is shared with all that was made of it, so that only the lines that differ cost more
than a comparison. `docs/performance.md` says what this saves.

The result is always the same as the parser's. The head is complete in one read, and nothing but
its body follows it there; its request line has an unambiguous form; and each line is one that the
parser accepts, and that says nothing about the connection (`known_lines.py`). The parser reads
every other request, whole.
"""

from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy

from gateway.config.limits import Limits
from gateway.http.header_fields import CONTENT_LENGTH, HOST, HeaderLine, HeadForm
from gateway.http.messages import HeaderFields, Request
from gateway.listeners.http1.known_lines import KNOWN_LINES, parse_line

_GET: Final = b"GET"
_METHODS: Final = {name.encode(): name for name in ("GET", "POST", "PUT", "PATCH", "DELETE")}
_VERSION: Final = b" HTTP/1.1\r\n"
_CR: Final = b"\r"
_END: Final = b"\r\n"
"""The end of a line."""
_FIRST_SPACE: Final = 3
"""Where the space after the shortest method is."""
_MAX_METHOD_BYTES: Final = 6
_VERSION_BYTES: Final = len(_VERSION)
_LEAST_BYTES: Final = len(b"GET /")
"""The length of the shortest method and target."""
_MOST_FORMS: Final = 4
"""The most forms that a connection keeps."""
_NO_FORMS: Final[list[HeadForm]] = []
"""Shared by the connections that have no form yet, as is the next one; never changed."""
_NONE_FOUND: Final[list[list[HeaderLine]]] = []
KEPT_BYTES: Final = 8192
"""The longest head that it keeps, or the form of which: with all that is made of it, a head takes
six times its size, also while the connection waits."""
_LINE_BYTES: Final = 256
"""The longest request line that is kept, with its end."""
_MOST_SHARED_FORMS: Final = 256
_SHARED_FORMS: Final[dict[bytes, HeadForm]] = {}
"""The forms that all connections share, by their bytes."""
_HOLE: Final = b"\0"
"""Stands for a hole: no line has this byte."""
_MOST_OTHERS: Final = 3
"""The most lines that differ in two heads of one form, although other clients may send them."""
_UPGRADE: Final = b"\r\nUpgrade: "
"""The usual spelling of a field that leaves a head to the parser, whatever else is in it."""
_SPACE: Final = 0x20
_SLASH: Final = 0x2F
# The characters that a path and a query may have (RFC 3986 sections 3.3 and 3.4) stay; every other
# byte becomes another one.
_CHARACTERS: Final = (
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,;=:@/?%"
)
_TARGET: Final = bytes([b if b in _CHARACTERS else (0 if b else 1) for b in range(256)])


class PlainMessage:
    """The parsed head that stands for all plain ones, as far as the connection asks for it."""

    def __init__(self) -> None:
        self.method = "GET"
        self.path = ""
        self.version = (1, 1)
        self.headers: CIMultiDictProxy[str] = CIMultiDictProxy(CIMultiDict())
        self.raw_headers: tuple[tuple[bytes, bytes], ...] = ()
        self.should_close = self.upgrade = self.chunked = False


PLAIN_MESSAGE: Final = PlainMessage()
"""The one of them that all plain requests share that came whole."""
PLAIN_UPLOAD: Final = PlainMessage()
"""The one that all plain requests share whose body is still coming after the head."""


class PlainHeads:
    """Reads plain requests, and keeps the last head to compare the next one with it."""

    __slots__ = (
        "_fields",
        "_forms",
        "_found",
        "_head",
        "_limits",
        "_line_data",
        "_lines",
        "_method",
        "_most_bytes",
        "_next_form",
        "_target",
        "_target_bytes",
        "body_at",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._target_bytes = limits.url_bytes
        # With all lines shorter than the limit of one, neither limit has to be checked again.
        self._most_bytes = min(limits.header_bytes, limits.headers_total_bytes)
        self._line_data = b""
        """The last short request line, with its end; its parts are beside it."""
        self._method = self._target = ""
        self.body_at = 0
        """The place of the body in the bytes of the last request."""
        self._fields: HeaderFields | None = None
        self._head = b""
        """The last head after its request line, with the empty line at its end."""
        self._lines: list[HeaderLine] = []
        self._forms = _NO_FORMS
        """The forms of the heads of this connection, each once two in a row have had it.

        There are several behind a proxy that sends the requests of different clients.
        """
        self._found = _NONE_FOUND
        """For each form the lines in its holes, as the last head of the form had them."""
        self._next_form = 0
        """The number of the form that a new one replaces."""

    def read(self, data: bytes, peer: str) -> Request | None:
        """Returns the request in `data`, if it is plain and alone, without its body.

        The body may be incomplete. None if the parser has to read the request. Call it only while
        the parser waits for one.
        """
        method, target, start = self._method, self._target, len(self._line_data)
        line = data[:start]
        if not start or line != self._line_data:  # clients ask for one thing again
            # Most lines have the length of the one before. `_request_line` refuses what has the end
            # of a line in it, so a wrong guess of the length hides nothing.
            method, target = _request_line(line)
            if not method:
                start = data.find(_CR) + 2  # for one byte, a search takes half of the time
                line = data[:start]
                method, target = _request_line(line)
            if not method or len(target) > self._target_bytes:
                return None
            if start <= _LINE_BYTES:
                self._line_data, self._method, self._target = line, method, target
        fields = self._fields
        end = start + len(self._head)
        if fields is None or data[start:end] != self._head:  # in a third of the time of startswith
            fields = self._formed(data, start) if self._forms else None
            if fields is None:
                fields = self._listed(data, start)
                if fields is None:
                    return None
            end = start + len(self._head)
            if end - start > KEPT_BYTES:
                self._forget()
        length = fields.content_length
        missing = end + length - len(data)
        # A whole body is not checked again; one that is coming is, when its reading starts.
        if missing < 0 or (length and not missing and not self._allows(length)):
            return None
        self.body_at = end
        return Request(method, target, fields, peer)

    def _formed(self, data: bytes, start: int) -> HeaderFields | None:
        """Returns the fields of a head that has a form of those before; remembers the head."""
        for number, form in enumerate(self._forms):
            at = start + len(form.stretches[0])
            if data[start:at] == form.stretches[0]:
                fields = self._filled(data, start, form, number)
                if fields is not None:
                    return fields
        return None

    def _filled(
        self, data: bytes, start: int, form: HeadForm, form_number: int
    ) -> HeaderFields | None:
        """Returns the fields of a head that begins as this form does, if it goes on as it does."""
        stretches, before = form.stretches, self._found[form_number]
        at = start + len(stretches[0])
        found: list[HeaderLine] = []
        for number, name in enumerate(form.names):
            after = stretches[number + 1]
            # Most ids have the same length in each request. `parse_line` refuses a value that has
            # the end of its line in it, so a wrong guess of the length hides nothing.
            end = at + form.lengths[number]
            past = end + len(after)
            if data[end:past] != after:
                end = data.find(_END, at)
                past = end + len(after)
                if end <= at or data[end:past] != after:
                    return None
            value = data[at:end]
            line = before[number] if before and before[number].value == value else None
            if line is None:  # the token and the cookie of a client stay the same for long
                line = parse_line(name, value)
                if line is None:
                    return None
            found.append(line)
            at = past
        if at - 4 - start > self._most_bytes:  # without the end of the last line, and the empty one
            return None
        fields = HeaderFields(None, (), None, form, found)
        self._head, self._fields, self._found[form_number] = data[start:at], fields, found
        return fields

    def _listed(self, data: bytes, start: int) -> HeaderFields | None:
        """Returns the fields of a head, read line by line; remembers the head, and its form."""
        last = data.find(b"\r\n\r\n", start)
        if last < 0 or last - start > self._most_bytes:
            return None
        if data.find(_UPGRADE, start, last) >= 0:
            return None
        lines = data[start:last].split(b"\r\n")
        if len(lines) > self._limits.header_count:
            return None
        found = self._known(lines)
        if found is None:
            return None
        fields = HeaderFields(None, (), found)
        form = _form(self._lines, found) if last - start <= KEPT_BYTES else None
        if form is not None:
            self._learn(_shared(form))
        self._head, self._fields, self._lines = data[start : last + 4], fields, found
        return fields

    def _forget(self) -> None:
        """Drops the last head and its lines, but no form."""
        self._fields, self._head, self._lines = None, b"", []
        self._found = [[] for _ in self._forms]

    def _learn(self, form: HeadForm) -> None:
        """Keeps a form, in the place of the oldest if there are too many."""
        if len(self._forms) < _MOST_FORMS:
            self._forms, self._found = [*self._forms, form], [*self._found, []]
            return
        number = self._next_form
        self._forms[number], self._found[number] = form, []
        self._next_form = (number + 1) % _MOST_FORMS

    def _known(self, lines: list[bytes]) -> list[HeaderLine] | None:
        found: list[HeaderLine] = []
        before, roles = self._lines, 0
        count = len(before)
        for number, data in enumerate(lines):
            line: HeaderLine | None = None
            if number < count:  # clients send their fields in the same order each time
                was = before[number]
                if was.data == data:
                    line = was
                elif not was.name.is_shared and data.startswith(was.name.prefix):
                    line = parse_line(was.name, data[was.name.start :], data)
            if line is None:
                line = KNOWN_LINES.line(data)
                if line is None:
                    return None
            role = line.name.role
            if role:
                if roles & role:
                    return None
                roles |= role
            found.append(line)
        return found if roles & HOST else None

    def _allows(self, length: int) -> bool:
        most = self._limits.stream_bytes
        return length <= self._limits.body_bytes and (most is None or length <= most)


def _request_line(line: bytes) -> tuple[str, str]:
    """Returns method and target of a request line with its end; empty if it is ambiguous.

    A target that starts with two slashes could be an authority, so the parser must read it.
    """
    last = len(line) - _VERSION_BYTES
    if last < _LEAST_BYTES or line[last:] != _VERSION:
        return "", ""
    space = _FIRST_SPACE
    while line[space] != _SPACE:
        if space == _MAX_METHOD_BYTES:
            return "", ""
        space += 1
    name = line[:space]
    method = "GET" if name == _GET else _METHODS.get(name, "")
    if not method or space + 1 >= last:  # machine code fails at a slice that ends before its start
        return "", ""
    target = line[space + 1 : last]
    if target[0] != _SLASH or (len(target) > 1 and target[1] == _SLASH):
        return "", ""
    if target.translate(_TARGET) != target:
        return "", ""
    return method, target.decode("ascii")


def _shared(form: HeadForm) -> HeadForm:
    """Returns the form with these bytes that all connections share, so that each needs no other."""
    key = _HOLE.join(form.stretches)
    known = _SHARED_FORMS.get(key)
    if known is None:
        if len(_SHARED_FORMS) >= _MOST_SHARED_FORMS:
            _SHARED_FORMS.clear()
        known = _SHARED_FORMS[key] = form
    return known


def _form(before: list[HeaderLine], lines: list[HeaderLine]) -> HeadForm | None:
    """Returns the form of two heads in a row; None if they have other names, or little in common.

    Its holes are the lines that differ in most requests, and the few others that differ in these.
    """
    if len(before) != len(lines):
        return None
    places: list[int] = []
    others = 0
    for at, line in enumerate(lines):
        was = before[at]
        if was.name is not line.name:
            return None
        if not line.name.is_shared or line.name.role == CONTENT_LENGTH:
            places.append(at)
        elif was is not line:
            places.append(at)
            others += 1
    return HeadForm(lines, places) if others <= _MOST_OTHERS else None
