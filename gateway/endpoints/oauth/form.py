"""Parses the requests of token endpoints strictly, and renders their errors (RFC 6749)."""

import asyncio
import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from contextlib import aclosing
from urllib.parse import parse_qsl, unquote_plus

from gateway.auth.names import can_be_granted
from gateway.exchange.ring.credentials import is_authorized_twice
from gateway.http.messages import Code, HeaderFields, Request, Response, StatusError
from gatewayapi.v1.auth_pb2 import Client

MOST_BYTES = 16 * 1024

# Seconds for the whole form: it is small, and is processed only when it is complete.
_READ_TIMEOUT_S = 30.0
_MOST_FIELDS = 20
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,256}")
_CODES: Mapping[int, Code] = {
    401: Code.UNAUTHENTICATED,
    408: Code.DEADLINE_EXCEEDED,
    413: Code.RESOURCE_EXHAUSTED,
    429: Code.RESOURCE_EXHAUSTED,
    503: Code.UNAVAILABLE,
}


class OAuthError(Exception):
    """An error in the format of RFC 6749 section 5.2."""

    def __init__(
        self,
        error: str,
        description: str,
        *,
        http_status: int = 400,
        headers: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(description)
        self.error = error
        self.http_status = http_status
        self.headers = headers

    @property
    def response(self) -> Response:
        """The error as a response."""
        headers = [("Cache-Control", "no-store"), ("Pragma", "no-cache"), *self.headers]
        if self.http_status == 401:
            headers.append(("WWW-Authenticate", 'Basic realm="token endpoint"'))
        body = json.dumps({"error": self.error, "error_description": str(self)}).encode()
        code = _CODES.get(self.http_status, Code.INVALID_ARGUMENT)
        return Response(self.http_status, headers, body, "application/json", code=code)


class Form(dict[str, str]):
    """The fields of a form by name."""

    def __missing__(self, name: str) -> str:
        raise OAuthError("invalid_request", f"{name} is missing")


async def read_form(request: Request) -> Form:
    """Reads the form in a request's body.

    Raises:
        OAuthError: it has another type, is too large, or repeats a field (RFC 6749 section 3.2).
        StatusError: the body was cut off, came too slowly, or has an unknown content coding.
    """
    if request.query:
        raise OAuthError("invalid_request", "send parameters in the body, not in the URL")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "send a form: application/x-www-form-urlencoded")
    pairs = _pairs(await _read_body(request))
    form = Form(pairs)
    if len(form) < len(pairs):
        raise OAuthError("invalid_request", "a parameter is sent twice")
    # RFC 6749 section 3.2: a parameter without a value counts as missing.
    return Form((name, value) for name, value in form.items() if value)


def _pairs(body: bytes) -> list[tuple[str, str]]:
    if not body:
        return []
    parameters = body.split(b"&")
    if len(parameters) > _MOST_FIELDS:
        raise OAuthError("invalid_request", f"send a form of at most {_MOST_FIELDS} parameters")
    if b"" in parameters:
        raise OAuthError(
            "invalid_request",
            "the form has an & with no parameter before or after it; send name=value&name=value",
        )
    if not all(b"=" in one for one in parameters):
        raise OAuthError(
            "invalid_request", "the body is not a well-formed form; send name=value&name=value"
        )
    try:
        return parse_qsl(body.decode("ascii"), keep_blank_values=True, errors="strict")
    except ValueError:
        raise OAuthError(
            "invalid_request", "the body is not a well-formed form; percent-encode it as UTF-8"
        ) from None


async def _read_body(request: Request) -> bytes:
    if request.body is None:
        return b""
    if int(request.headers.get("Content-Length", "0")) > MOST_BYTES:
        raise _too_large()
    body = bytearray()
    # In pieces: a body without a stated length is read only up to the limit.
    try:
        async with (
            asyncio.timeout(_READ_TIMEOUT_S),
            aclosing(request.body.pieces(lambda: True)) as pieces,
        ):
            async for piece in pieces:
                body += piece
                request.body_bytes = len(body)
                if len(body) > MOST_BYTES:
                    raise _too_large()
    except TimeoutError:
        raise OAuthError("invalid_request", "the form came too slowly", http_status=408) from None
    return bytes(body)


def _too_large() -> OAuthError:
    return OAuthError(
        "invalid_request", f"send a form of at most {MOST_BYTES} bytes", http_status=413
    )


def body_error(error: StatusError) -> OAuthError:
    """The error for a body that could not be read, in the format of the RFC."""
    return OAuthError(
        "invalid_request", error.message, http_status=error.http_status, headers=error.headers
    )


def refuse_two_authorizations(fields: HeaderFields) -> None:
    """Rejects two `Authorization` headers: servers differ in which of them they use.

    Raises:
        OAuthError: there are two (RFC 6749 section 5.2).
    """
    if is_authorized_twice(fields):
        raise OAuthError("invalid_request", "the Authorization header is sent twice")


def parse_clients(headers: Mapping[str, str], form: Form) -> Sequence[Client]:
    """The client's credentials, in both readings of HTTP Basic if they differ.

    By RFC 6749 section 2.3.1 id and secret are form-encoded inside Basic. Many clients send them
    unencoded, which differs if they contain `+` or `%`.

    Raises:
        OAuthError: as `parse_client`.
    """
    client = parse_client(headers, form)
    basic = headers.get("Authorization")
    if basic is None:
        return [client]
    literal = _parse_basic(basic, decoded=False)
    is_other = literal != (client.id, client.secret) and _CLIENT_ID.fullmatch(literal[0])
    if not is_other or form.get("client_id", literal[0]) != literal[0]:
        return [client]
    return [client, Client(id=literal[0], secret=literal[1])]


def parse_client(headers: Mapping[str, str], form: Form) -> Client:
    """The client's id and secret, by client_secret_basic or _post (RFC 6749 section 2.3.1).

    Raises:
        OAuthError: there are none, or more than one.
    """
    client = _client(headers.get("Authorization"), form)
    if not _CLIENT_ID.fullmatch(client.id):  # RFC 6749 appendix A.1
        raise OAuthError("invalid_client", "expected a client_id in ASCII", http_status=401)
    return client


def _client(basic: str | None, form: Form) -> Client:
    if basic is None:
        if "client_id" not in form:
            raise OAuthError("invalid_client", "client_id is missing", http_status=401)
        return Client(id=form["client_id"], secret=form.get("client_secret", ""))
    if "client_secret" in form:
        raise OAuthError("invalid_request", "client credentials are sent twice")
    client_id, secret = _parse_basic(basic)
    if form.get("client_id") == _parse_basic(basic, decoded=False)[0] != client_id:
        # The form states which reading is meant.
        client_id, secret = _parse_basic(basic, decoded=False)
    if form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "client_id differs from the one in Authorization")
    return Client(id=client_id, secret=secret)


def requested_scopes(form: Form) -> frozenset[str]:
    """The requested scopes; empty for all that can be granted (RFC 6749 section 3.3).

    Raises:
        OAuthError: one is malformed.
    """
    scopes = form["scope"].split(" ") if "scope" in form else []
    if len(valid_scopes(scopes)) < len(set(scopes)):
        raise OAuthError("invalid_scope", "expected scopes in ASCII, separated by one space")
    return frozenset(scopes)


def valid_scopes(scopes: Sequence[str]) -> frozenset[str]:
    """Those that are valid scopes (RFC 6749 appendix A.4); one with a space would be two."""
    return frozenset(scope for scope in scopes if can_be_granted(scope))


def _parse_basic(value: str, *, decoded: bool = True) -> tuple[str, str]:
    scheme, _, rest = value.partition(" ")
    try:
        client_id, colon, secret = b64decode(rest.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        colon = client_id = secret = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "expected Authorization: Basic", http_status=401)
    return (unquote_plus(client_id), unquote_plus(secret)) if decoded else (client_id, secret)
