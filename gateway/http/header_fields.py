"""The header fields of a request, with direct access to those that most requests need."""

from collections.abc import Mapping, Sequence
from typing import Final

from multidict import CIMultiDict, CIMultiDictProxy, istr
from mypy_extensions import mypyc_attr

from gateway.transcoding.metadata import Metadata, MetadataRules

# An `istr` is already case-folded, so a look-up does not fold the name again.
_ACCEPT: Final = istr("Accept")
_ACCEPT_ENCODING: Final = istr("Accept-Encoding")
_AUTHORIZATION: Final = istr("Authorization")
_CONTENT_ENCODING: Final = istr("Content-Encoding")
_CONTENT_TYPE: Final = istr("Content-Type")
_EXPECT: Final = istr("Expect")
_GRPC_TIMEOUT: Final = istr("Grpc-Timeout")
_HOST: Final = istr("Host")
_IF_MATCH: Final = istr("If-Match")
_IF_NONE_MATCH: Final = istr("If-None-Match")
_MODIFIED: Final = istr("If-Modified-Since")
_REQUEST_ID: Final = istr("X-Request-Id")
_TRACEPARENT: Final = istr("traceparent")
_UNMODIFIED: Final = istr("If-Unmodified-Since")
_USER_AGENT: Final = istr("User-Agent")
# The list fields that the gateway reads: several lines of one field are joined into one list.
_LISTS: Final = (
    *(_ACCEPT, _ACCEPT_ENCODING, _CONTENT_ENCODING, _EXPECT, _IF_MATCH, _IF_NONE_MATCH),
    *(istr("Cache-Control"), istr("Access-Control-Request-Headers")),
)

# The roles of header names: a head in which a role occurs twice is not made of known lines.
HOST: Final = 1
ACCEPT: Final = 1 << 1
ACCEPT_ENCODING: Final = 1 << 2
CONTENT_TYPE: Final = 1 << 3
CONTENT_LENGTH: Final = 1 << 4
USER_AGENT: Final = 1 << 5
REQUEST_ID: Final = 1 << 6
TRACEPARENT: Final = 1 << 7
TIMEOUT: Final = 1 << 8
CONDITION: Final = 1 << 9
SINCE: Final = 1 << 10
"""A condition with a date, of which there are two."""
AUTHORIZATION: Final = 1 << 16
TRACESTATE: Final = 1 << 18
_CONDITIONS: Final = CONDITION | SINCE
_ALL: Final = (1 << 20) - 1


class HeaderName:
    """The name of a header field, and the facts that depend on the name alone."""

    __slots__ = ("is_plain", "is_shared", "lower", "prefix", "raw", "role", "spelled", "start")

    def __init__(
        self, raw: bytes, spelled: str, *, role: int, is_plain: bool, is_shared: bool
    ) -> None:
        self.raw = raw
        self.lower = raw.lower()
        self.spelled = spelled
        """The name as the parser spells it."""
        self.prefix = raw + b": "
        self.start = len(self.prefix)
        """The position of the value in a line."""
        self.role = role
        """One bit, or 0 for a field that the gateway does not read and that may come twice."""
        self.is_plain = is_plain
        """False if the parser has to read every request with this field."""
        self.is_shared = is_shared
        """True if other requests may have the same line, and it is not secret."""


@mypyc_attr(acyclic=True, free_list_len=1)
class HeaderLine:
    """One line of a request's head: immutable, so that requests can share it."""

    __slots__ = ("_literal", "_rules", "data", "is_id", "name", "text", "value")

    def __init__(self, name: HeaderName, data: bytes, value: bytes) -> None:
        self.name, self.data, self.value = name, data, value  # without data in a hole of a form
        self.text = value.decode("ascii")
        self.is_id = False
        """True if it is known to be a well-formed id of the request."""
        # The literal for the rules that asked last: usually all requests have the same rules.
        self._rules: MetadataRules | None = None
        self._literal: bytes | None = None

    def literal(self, rules: MetadataRules) -> bytes | None:
        """Returns the line as metadata, encoded for HTTP/2; empty if back ends do not receive it.

        None if it becomes metadata only after its value has been decoded.
        """
        if self._rules is not rules:
            self._literal = rules.encode(self.name.raw, self.value)
            self._rules = rules
        return self._literal


class HeadForm:
    """The lines that the heads of one connection have in common, with holes for those that differ.

    What is between the holes is compared, read and encoded once for all requests of the form.
    """

    __slots__ = (
        *("_at", "_blocks", "_lines", "_rules", "_sent", "common", "lengths", "names", "places"),
        "stretches",
    )

    def __init__(self, lines: list[HeaderLine], places: list[int]) -> None:
        """Takes the lines of one head, and the indexes of the holes, in rising order."""
        # Without the values in the holes: they can be secret, and a form lives long.
        self._lines = lines.copy()
        for at in places:
            self._lines[at] = HeaderLine(lines[at].name, lines[at].name.prefix, b"")
        self.places = places
        self.names = [lines[at].name for at in places]
        """The names of the lines in the holes, which are in the common bytes."""
        self.lengths = [len(lines[at].value) for at in places]
        """The lengths of the values that were in the holes first."""
        self.stretches: list[bytes] = []
        """The bytes before each hole, and those after the last, with the empty line at the end."""
        # The places of names, with the holes counted before the other lines.
        self._at: dict[bytes, int] = {}
        stretch = b""
        for at, line in enumerate(lines):
            place = places.index(at) if at in places else len(places) + at
            self._at.setdefault(line.name.lower, place)
            if at in places:
                self.stretches.append(stretch + line.name.prefix)
                stretch = b"\r\n"
            else:
                stretch += line.data + b"\r\n"
        self.stretches.append(stretch + b"\r\n")
        common = [line for at, line in enumerate(lines) if at not in places]
        self.common = HeaderFields(None, (), common)  # the attributes that these lines decide
        # For the rules that asked last: the numbers of the holes whose lines become metadata, and
        # the literals between these; None as with a line.
        self._rules: MetadataRules | None = None
        self._sent: list[int] = []
        self._blocks: list[bytes] | None = None

    def lines(self, found: list[HeaderLine]) -> list[HeaderLine]:
        """Returns the lines of a head of this form, with these in its holes."""
        lines = self._lines.copy()
        for number, at in enumerate(self.places):
            lines[at] = found[number]
        return lines

    def line(self, lower_name: bytes, found: list[HeaderLine]) -> HeaderLine | None:
        """Returns the first line of such a head with a name in lower case."""
        at = self._at.get(lower_name, -1)
        if at < 0:
            return None
        return found[at] if at < len(found) else self._lines[at - len(found)]

    def encode(self, rules: MetadataRules, found: list[HeaderLine], rest: bytes) -> bytes | None:
        """Returns the metadata of such a head, encoded, and then `rest`; None as with a line."""
        if self._rules is not rules:
            self._blocks = self._between(rules)
            self._rules = rules
        blocks = self._blocks
        if blocks is None:
            return None
        if not self._sent:  # often what differs is the trace and the id, which the gateway replaces
            return blocks[0] + rest
        parts = [blocks[0]]
        for at, number in enumerate(self._sent):
            literal = found[number].literal(rules)
            if literal is None:
                return None
            parts.append(literal)
            parts.append(blocks[at + 1])
        parts.append(rest)
        return b"".join(parts)

    def _between(self, rules: MetadataRules) -> list[bytes] | None:
        blocks = [b""]
        self._sent = []
        for at, line in enumerate(self._lines):
            literal = line.literal(rules)
            if literal is None:
                return None
            if at not in self.places:
                blocks[-1] += literal
            elif literal:  # empty for all lines of a name that back ends do not receive
                self._sent.append(self.places.index(at))
                blocks.append(b"")
        return blocks


@mypyc_attr(acyclic=True, free_list_len=1)
class HeaderFields:
    """Header fields, as received and by name.

    Made of the parser's result, or of known lines. Then nothing else is made until it is asked for,
    because most requests need only the attributes.

    Requests of one connection share one instance while their fields stay equal, as with most
    clients. So nothing here may depend on a single request.
    """

    __slots__ = (
        *("_by_name", "_different", "_lines", "_raw", "accept", "accept_encoding"),
        *("are_checked", "block", "block_rules", "content_length", "content_type", "expect"),
        *("form", "has_id", "host", "is_conditional", "is_encoded", "is_parsed", "is_plain"),
        *("keyless", "metadata", "request_id", "roles", "timeout", "traceparent", "user_agent"),
    )

    are_checked: bool
    """True if the header checks of the ring have accepted them."""
    content_length: int
    """The stated length in bytes; set only with `lines`."""
    is_conditional: bool
    """True if there are conditions with entity tags."""
    is_plain: bool
    """True if neither a condition nor Authorization is among them, as far as it is known."""
    keyless: bytes
    """The header of API keys, in lower case, that they do not have, if one was looked for."""
    roles: int
    """The roles of the names; of those from the parser, all that do not matter to `is_plain`."""

    def __init__(
        self,
        by_name: Mapping[str, str] | None,
        raw: Sequence[tuple[bytes, bytes]],
        lines: list[HeaderLine] | None = None,
        form: HeadForm | None = None,
        different: list[HeaderLine] | None = None,
    ) -> None:
        """Takes the fields by name and in order; or None, an empty sequence, and their `lines`.

        Instead of all lines, a `form` can be given, and those that are `different`, in its holes.
        """
        self._by_name, self._raw, self._lines = by_name, raw, lines
        self.form, self._different = form, different
        self.is_parsed = by_name is not None  # by the parser; then there are no lines
        self.expect: str | None = None
        self.is_encoded = self.has_id = False  # an id is never among the lines of a form
        if form is None:
            self.accept: str | None = None
            self.accept_encoding: str | None = None
            self.content_length = 0
            self.content_type: str | None = None
            self.host = self.traceparent = self.user_agent = ""
            self.is_conditional = False
            self.request_id: str | None = None
            self.roles = 0
            self.timeout: str | None = None
        else:
            common, lines = form.common, different
            self.accept, self.accept_encoding = common.accept, common.accept_encoding
            self.content_length, self.content_type = common.content_length, common.content_type
            self.host, self.is_conditional = common.host, common.is_conditional
            self.request_id, self.roles = common.request_id, common.roles
            self.timeout, self.traceparent = common.timeout, common.traceparent
            self.user_agent = common.user_agent
        self.are_checked, self.keyless = False, b""
        self.metadata: Metadata | None = None
        """The metadata for back ends, once it has been computed; copy it, do not change it."""
        self.block = b""
        self.block_rules: MetadataRules | None = None
        """The rules by which `block`, the last result of `encode`, was made; None before."""
        if by_name is not None:
            self._read(by_name)
        if lines is not None:
            for line in lines:
                role = line.name.role
                if role:
                    self.roles |= role
                    self._take(role, line.text)
                    self.has_id = self.has_id or line.is_id
        self.is_plain = not self.roles & (_CONDITIONS | AUTHORIZATION)

    @property
    def may_be_conditional(self) -> bool:
        """False if no condition is among them (RFC 9110 section 13.1)."""
        return bool(self.roles & _CONDITIONS)

    @property
    def lines(self) -> list[HeaderLine]:
        """The known lines, in order; none for fields from the parser."""
        if self._lines is None:
            form, different = self.form, self._different
            self._lines = [] if form is None or different is None else form.lines(different)
        return self._lines

    @property
    def by_name(self) -> Mapping[str, str]:
        """The fields by name, in any letter case."""
        if self._by_name is None:
            pairs = [(line.name.spelled, line.text) for line in self.lines]
            self._by_name = with_whole_lists(CIMultiDictProxy(CIMultiDict(pairs)))
        return self._by_name

    @property
    def raw(self) -> Sequence[tuple[bytes, bytes]]:
        """The fields as received, in order."""
        if not self.is_parsed and not self._raw:
            self._raw = tuple([(line.name.raw, line.value) for line in self.lines])
        return self._raw

    def first(self, lower_name: bytes) -> str | None:
        """Returns the first field with a name in lower case, which is no list; makes no dict."""
        if self.is_parsed:
            return self.by_name.get(lower_name.decode())
        if self.form is not None and self._different is not None:
            found = self.form.line(lower_name, self._different)
            return None if found is None else found.text
        for line in self._lines or ():
            if line.name.lower == lower_name:
                return line.text
        return None

    def count(self, lower_name: bytes) -> int:
        """Returns the number of fields with a name in lower case."""
        if self.is_parsed:
            return [name.lower() for name, _ in self._raw].count(lower_name)
        return len([True for line in self.lines if line.name.lower == lower_name])

    def encode(self, rules: MetadataRules, rest: bytes) -> bytes | None:
        """Returns the metadata of these fields, encoded for HTTP/2 (RFC 7541), and then `rest`.

        None if the fields are not made of lines, or one has to be decoded first.
        """
        if self.is_parsed:
            return None
        if self.form is None or self._different is None:
            block = _encoded(self.lines, rules, rest)
        else:
            block = self.form.encode(rules, self._different, rest)
        if block is not None:
            self.block, self.block_rules = block, rules
        return block

    def _read(self, by_name: Mapping[str, str]) -> None:
        get = by_name.get
        self.accept, self.accept_encoding = get(_ACCEPT), get(_ACCEPT_ENCODING)
        self.content_type, self.expect = get(_CONTENT_TYPE), get(_EXPECT)
        self.host, self.user_agent = get(_HOST, ""), get(_USER_AGENT, "")
        self.is_conditional = _IF_NONE_MATCH in by_name or _IF_MATCH in by_name
        self.is_encoded = _CONTENT_ENCODING in by_name
        self.request_id, self.timeout = get(_REQUEST_ID), get(_GRPC_TIMEOUT)
        self.traceparent = get(_TRACEPARENT, "")
        self.roles = _ALL if _AUTHORIZATION in by_name else _ALL ^ AUTHORIZATION
        if not (self.is_conditional or _MODIFIED in by_name or _UNMODIFIED in by_name):
            self.roles ^= _CONDITIONS

    def _take(self, role: int, text: str) -> None:
        # First those that differ in each request: a form has read the others.
        if role == REQUEST_ID:
            self.request_id = text
        elif role == TRACEPARENT:
            self.traceparent = text
        elif role == HOST:
            self.host = text
        elif role == ACCEPT:
            self.accept = text
        elif role == USER_AGENT:
            self.user_agent = text
        elif role == ACCEPT_ENCODING:
            self.accept_encoding = text
        elif role == CONTENT_TYPE:
            self.content_type = text
        elif role == CONTENT_LENGTH:
            self.content_length = int(text)
        elif role == TIMEOUT:
            self.timeout = text
        elif role == CONDITION:
            self.is_conditional = True


def _encoded(lines: list[HeaderLine], rules: MetadataRules, rest: bytes) -> bytes | None:
    parts: list[bytes] = []
    for line in lines:
        literal = line.literal(rules)
        if literal is None:
            return None
        parts.append(literal)
    return b"".join(parts) + rest


def with_whole_lists(headers: CIMultiDictProxy[str]) -> Mapping[str, str]:
    """Returns the headers with the lines of each list field joined into one value.

    RFC 9110 section 5.3.
    """
    joined: CIMultiDict[str] | None = None
    for name in _LISTS:
        values = headers.getall(name, ())
        if len(values) > 1:
            joined = CIMultiDict(headers) if joined is None else joined
            joined[name] = ", ".join(values)
    return headers if joined is None else CIMultiDictProxy(joined)


NO_FIELDS: Final = HeaderFields({}, ())
