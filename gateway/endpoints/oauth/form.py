"""What a client sends to a token endpoint, read strictly, and how it is refused (RFC 6749)."""

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
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request, Response
from gateway.status import Code, StatusError
from gatewayapi.v1.auth_pb2 import Client

MOST_BYTES = 16 * 1024

# How long all of a form may take: it is small, and nothing of it is done before all of it is there.
_PATIENCE_S = 30.0
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
    """A refusal in the words of RFC 6749 section 5.2."""

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
        """The refusal as a response."""
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
    """The form in a request's body.

    Raises:
        OAuthError: it is of another type, too large, or names a field twice (RFC 6749 section 3.2).
        StatusError: the body broke off, came too slowly, or is coded in an unknown way.
    """
    if request.query:
        raise OAuthError("invalid_request", "send parameters in the body, not in the URL")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "send a form: application/x-www-form-urlencoded")
    pairs = _pairs(await _read_body(request))
    form = Form(pairs)
    if len(form) < len(pairs):
        raise OAuthError("invalid_request", "a parameter is there twice")
    # RFC 6749 section 3.2: a parameter without a value is as if it were not there.
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
            "the form has an & with no parameter before or behind it; send name=value&name=value",
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
    # In pieces: of what comes with no length no more is read than a form may have.
    try:
        async with (
            asyncio.timeout(_PATIENCE_S),
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


def broken(error: StatusError) -> OAuthError:
    """A body that could not be read, in the words of the RFC."""
    return OAuthError(
        "invalid_request", error.message, http_status=error.http_status, headers=error.headers
    )


def check_credentials_are_clear(fields: HeaderFields) -> None:
    """Refuses two `Authorization` headers: some would believe the one and some the other.

    Raises:
        OAuthError: there are two (RFC 6749 section 5.2).
    """
    if is_authorized_twice(fields):
        raise OAuthError("invalid_request", "the Authorization header is there twice")


def parse_clients(headers: Mapping[str, str], form: Form) -> Sequence[Client]:
    """Who asks, in both readings of HTTP Basic where they differ.

    RFC 6749 section 2.3.1 has id and secret form-encoded inside Basic. Many clients send them as
    they are, which is another text where there is a `+` or `%`.

    Raises:
        OAuthError: as `parse_client`.
    """
    client = parse_client(headers, form)
    basic = headers.get("Authorization")
    if basic is None:
        return [client]
    literal = _basic(basic, decoded=False)
    is_other = literal != (client.id, client.secret) and _CLIENT_ID.fullmatch(literal[0])
    if not is_other or form.get("client_id", literal[0]) != literal[0]:
        return [client]
    return [client, Client(id=literal[0], secret=literal[1])]


def parse_client(headers: Mapping[str, str], form: Form) -> Client:
    """Who asks, and their secret, by client_secret_basic or _post (RFC 6749 section 2.3.1).

    Raises:
        OAuthError: nobody, or somebody twice.
    """
    client = _client(headers.get("Authorization"), form)
    if not _CLIENT_ID.fullmatch(client.id):  # RFC 6749 appendix A.1
        raise OAuthError("invalid_client", "expected a client_id in ASCII", http_status=401)
    return client


def _client(basic: str | None, form: Form) -> Client:
    if basic is None:
        if "client_id" not in form:
            raise OAuthError("invalid_client", "the client does not say who it is", http_status=401)
        return Client(id=form["client_id"], secret=form.get("client_secret", ""))
    if "client_secret" in form:
        raise OAuthError("invalid_request", "client credentials are there twice")
    client_id, secret = _basic(basic)
    if form.get("client_id") == _basic(basic, decoded=False)[0] != client_id:
        client_id, secret = _basic(basic, decoded=False)  # which of the readings is meant is said
    if form.get("client_id", client_id) != client_id:
        raise OAuthError("invalid_request", "client_id differs from the one in Authorization")
    return Client(id=client_id, secret=secret)


def scopes_of(form: Form) -> frozenset[str]:
    """The scopes that are asked for; empty for all that can be had (RFC 6749 section 3.3).

    Raises:
        OAuthError: one is malformed.
    """
    scopes = form["scope"].split(" ") if "scope" in form else []
    if len(well_formed(scopes)) < len(set(scopes)):
        raise OAuthError("invalid_scope", "expected scopes in ASCII, parted by one space")
    return frozenset(scopes)


def well_formed(scopes: Sequence[str]) -> frozenset[str]:
    """Those that are scopes (RFC 6749 appendix A.4); kept with spaces, another would be two."""
    return frozenset(scope for scope in scopes if can_be_granted(scope))


def _basic(value: str, *, decoded: bool = True) -> tuple[str, str]:
    scheme, _, rest = value.partition(" ")
    try:
        client_id, colon, secret = b64decode(rest.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        colon = client_id = secret = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "expected Authorization: Basic", http_status=401)
    return (unquote_plus(client_id), unquote_plus(secret)) if decoded else (client_id, secret)
