"""Failures: the canonical codes, the one error type, and its three JSON shapes.

Floor 0: imports no HTTP server, gRPC library or descriptors.
"""

from collections.abc import Generator, Iterable, Mapping, Sequence
from enum import IntEnum, StrEnum
from http import HTTPStatus
from typing import Any, Final, NamedTuple, NoReturn

from google.protobuf import any_pb2
from google.rpc import error_details_pb2, status_pb2


class Code(IntEnum):
    """The seventeen canonical codes (google/rpc/code.proto)."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16

    @staticmethod
    def of(number: int) -> "Code":
        """The code with this number; a number outside the table means UNKNOWN (code.proto)."""
        # A list, because a look-up by number in an enum runs Python code.
        return _CODES[number] if 0 <= number < len(_CODES) else _CODES[2]


_CODES = list(Code)

HTTP_STATUS: Mapping[Code, int] = {
    Code.OK: 200,
    Code.CANCELLED: 499,
    Code.UNKNOWN: 500,
    Code.INVALID_ARGUMENT: 400,
    Code.DEADLINE_EXCEEDED: 504,
    Code.NOT_FOUND: 404,
    Code.ALREADY_EXISTS: 409,
    Code.PERMISSION_DENIED: 403,
    Code.RESOURCE_EXHAUSTED: 429,
    Code.FAILED_PRECONDITION: 400,
    Code.ABORTED: 409,
    Code.OUT_OF_RANGE: 400,
    Code.UNIMPLEMENTED: 501,
    Code.INTERNAL: 500,
    Code.UNAVAILABLE: 503,
    Code.DATA_LOSS: 500,
    Code.UNAUTHENTICATED: 401,
}
"""The HTTP status of each code, as the comments of google/rpc/code.proto state it."""

_CODE_OF_PROXY: Mapping[str, Code] = {
    "400": Code.INTERNAL,
    "401": Code.UNAUTHENTICATED,
    "403": Code.PERMISSION_DENIED,
    "404": Code.UNIMPLEMENTED,
    "429": Code.UNAVAILABLE,
    "502": Code.UNAVAILABLE,
    "503": Code.UNAVAILABLE,
    "504": Code.UNAVAILABLE,
}


def code_of_proxy(http_status: str) -> Code:
    """The code of a call that a proxy before a back end answers with this HTTP status, and without
    a status of gRPC (http-grpc-status-mapping.md)."""
    return _CODE_OF_PROXY.get(http_status, Code.UNKNOWN)


# A constant, because looking up an enum member takes as long as a small function call.
_INVALID_ARGUMENT = Code.INVALID_ARGUMENT

# By number: an index costs less than a look-up.
STATUS_OF_CODE: Final = [HTTP_STATUS[code] for code in Code]

_PHRASES: Mapping[int, str] = {
    **{status.value: status.phrase for status in HTTPStatus},
    # The names of RFC 9110 section 15.5; Python uses them since 3.13.
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
    # Not in any RFC; nginx introduced it.
    499: "Client Closed Request",
}


class FieldViolation(NamedTuple):
    """An invalid field of a request: its JSON path, and a valid value or form."""

    field: str
    description: str
    reason: str = ""
    """The name of the rule that it breaks, for programs; empty for none."""


class StartUpError(Exception):
    """The gateway cannot start. The message is for the operator, one reason per line."""


class Attempt(NamedTuple):
    """One of several attempts of a call (gRFC A6, A45)."""

    endpoint: str
    """The address of the back end."""
    previous: int
    """The attempts before it that a back end may have seen."""
    is_transparent: bool
    """True if it replaces one that no back end had processed."""
    started_s: float
    """In seconds since 1970."""
    ended_s: float
    """In seconds since 1970; of a reply that streams, the time of its first message."""
    code: Code
    """The status with which it ended."""


class StatusError(Exception):
    """A failure in the gateway or in a back end; rendered once, by `Transcoder.encode_error`.

    `http_status` replaces the table's status where HTTP has a more specific one (405, 413 ...);
    `headers` are sent with the response; `metadata` and `trailers` came from the back end.
    """

    # Of the class, as most failures have none: each attribute that is set costs as much as a call.
    details: Sequence[any_pb2.Any] = ()
    headers: Sequence[tuple[str, str]] = ()
    metadata: Sequence[tuple[str, str | bytes]] = ()
    trailers: Sequence[tuple[str, str | bytes]] = ()
    attempts: Sequence[Attempt] = ()
    """The attempts of the call, the last to end at the end; empty for one."""
    was_processed: bool | None = None
    """True if a back end ended the call with it; False if no back end processed the call."""
    violations: Sequence[FieldViolation] | None = None
    """The invalid fields, if they become the only one of `details` when those are first read."""
    details_bytes: bytes = b""
    """A google.rpc.Status on the wire, if `details` become its own when they are first read."""

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        details: Sequence[any_pb2.Any] = (),
        http_status: int | None = None,
        headers: Sequence[tuple[str, str]] = (),
        metadata: Sequence[tuple[str, str | bytes]] = (),
        trailers: Sequence[tuple[str, str | bytes]] = (),
    ) -> None:
        self.code = code
        self.message = message
        self.http_status = STATUS_OF_CODE[code] if http_status is None else http_status
        if details:
            self.details = details
        if headers:
            self.headers = headers
        if metadata:
            self.metadata = metadata
        if trailers:
            self.trailers = trailers

    @property
    def bad_request(self) -> bytes:
        """An Any on the wire, with the BadRequest of `violations`; empty without them."""
        found = self.violations
        return b"" if found is None else bytes(_bad_request(found).SerializeToString())

    def __str__(self) -> str:
        return self.message

    def __repr__(self) -> str:
        return f"StatusError({self.code.name}, {self.message!r})"


class Refused:
    """The result of a call that is refused, which raises its error when it is awaited.

    A stage of a chain can return it instead of raising the error, which costs something for each
    function that the error passes. It can be awaited like a coroutine, also by a task.
    """

    __slots__ = ("_error",)

    def __init__(self, error: StatusError) -> None:
        self._error = error

    @property
    def error(self) -> StatusError:
        """The error that is raised."""
        return self._error

    def __await__(self) -> Generator[Any, Any, NoReturn]:
        raise self.error

    def send(self, _: object) -> NoReturn:
        """Raises the error: the first step of a task that runs this as its coroutine."""
        raise self.error

    def throw(self, error: BaseException, *_: object) -> NoReturn:
        """Raises `error`, with which a task was cancelled before its first step."""
        raise error

    def close(self) -> None:
        """Does nothing, as nothing has begun."""


class RefusedAlike(Refused):
    """The refusal of all calls that lack the same: made once, and rendered without an error."""

    __slots__ = ("code", "headers", "message")

    def __init__(self, code: Code, message: str, headers: Sequence[tuple[str, str]]) -> None:
        self.code = code
        self.message = message
        self.headers = headers

    @property
    def error(self) -> StatusError:
        """An error for one call only: whoever handles it may change it."""
        return StatusError(self.code, self.message, headers=[*self.headers])


class UnreadableReplyError(StatusError):
    """INTERNAL: a back end's reply breaks the rules of its format; the log reports it."""

    def __init__(self, message: str) -> None:
        super().__init__(Code.INTERNAL, message)


class _InvalidFields(StatusError):  # noqa: N818 - reads as what happened
    """INVALID_ARGUMENT, whose detail is made only when it is read: most are only written."""

    _details: Sequence[any_pb2.Any] = ()

    @property
    def details(self) -> Sequence[any_pb2.Any]:
        """The details of the failure."""
        if self.violations is not None:
            # From now on only the details count: whoever reads them may change them.
            self.details = [_bad_request(self.violations)]
        return self._details

    @details.setter
    def details(self, details: Sequence[any_pb2.Any]) -> None:
        """Replaces all details."""
        self._details, self.violations = details, None


def invalid_argument(field: str, description: str) -> StatusError:
    """The error for one invalid field: `field` is its JSON path, or "" for the whole body."""
    error = _InvalidFields(_INVALID_ARGUMENT, f"{field}: {description}" if field else description)
    error.violations = (FieldViolation(field, description),)
    return error


def invalid_fields(violations: Iterable[FieldViolation]) -> StatusError:
    """INVALID_ARGUMENT with a google.rpc.BadRequest detail for each invalid field (AIP-193)."""
    found = tuple(violations)
    texts = [f"{one.field}: {one.description}" if one.field else one.description for one in found]
    error = _InvalidFields(_INVALID_ARGUMENT, "; ".join(texts))
    error.violations = found
    return error


def _bad_request(violations: Iterable[FieldViolation]) -> any_pb2.Any:
    bad_request, detail = error_details_pb2.BadRequest(), any_pb2.Any()
    for violation in violations:
        field, description, reason = map(_utf8, violation)
        bad_request.field_violations.add(field=field, description=description, reason=reason)
    detail.Pack(bad_request)
    return detail


def _utf8(text: str) -> str:
    """Replaces lone surrogates, which a client or a back end can cause: they are not UTF-8."""
    return text.encode("utf-8", "replace").decode("utf-8")


def status_bytes(error: StatusError) -> bytes:
    """The google.rpc.Status of `error`, in protobuf."""
    status = status_pb2.Status(code=error.code, message=_utf8(error.message), details=error.details)
    return bytes(status.SerializeToString())


class ErrorShape(StrEnum):
    """The form of a failure's JSON body."""

    AIP193 = "aip193"
    STATUS = "status"
    PROBLEM = "problem"


ERROR_MEDIA_TYPE: Mapping[ErrorShape, str] = {
    ErrorShape.AIP193: "application/json",
    ErrorShape.STATUS: "application/json",
    ErrorShape.PROBLEM: "application/problem+json",
}


def error_document(
    shape: ErrorShape, error: StatusError, details: Sequence[Mapping[str, Any]]
) -> dict[str, Any]:
    """The body of `error` in one shape; `details` are its details, already as JSON objects.

    AIP-193 wraps HTTP code, message, status and details in `error`; `status` is google.rpc.Status
    with the gRPC number; `problem` is RFC 9457 with `status` as HTTP code and the rest as members.
    """
    match shape:
        case ErrorShape.AIP193:
            body = {"code": error.http_status, "message": error.message, "status": error.code.name}
            return {"error": {**body, "details": list(details)} if details else body}
        case ErrorShape.STATUS:
            return {"code": int(error.code), "message": error.message, "details": list(details)}
        case ErrorShape.PROBLEM:
            body = {
                "type": "about:blank",
                # RFC 9457 section 4.2.1: with about:blank, the title is the phrase of the status.
                "title": _PHRASES.get(error.http_status, "Error"),
                "status": error.http_status,
                "detail": error.message,
                "code": error.code.name,
            }
            return {**body, "details": list(details)} if details else body
