"""What a client sends to a token endpoint, read strictly, and how it is refused (RFC 6749)."""

import json
import re
from base64 import b64decode
from binascii import Error as NotBase64
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote_plus

from gateway.http.messages import Request, Response
from gateway.status import Code
from gatewayapi.v1.auth_pb2 import Client

MOST_BYTES = 16 * 1024

_MOST_FIELDS = 20
_SCOPE = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]{1,256}")
_CLIENT_ID = re.compile(r"[\x20-\x7e]{1,256}")
_CODES: Mapping[int, Code] = {
    401: Code.UNAUTHENTICATED,
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
    """
    if request.query:
        raise OAuthError("invalid_request", "send parameters in the body, not in the URL")
    kind = request.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise OAuthError("invalid_request", "send a form: application/x-www-form-urlencoded")
    body = await _read_body(request)
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=bool(body),
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise OAuthError("invalid_request", "the body is not a well-formed form") from None
    form = Form(pairs)
    if len(form) < len(pairs):
        raise OAuthError("invalid_request", "a parameter is there twice")
    # RFC 6749 section 3.2: a parameter without a value is as if it were not there.
    return Form((name, value) for name, value in form.items() if value)


async def _read_body(request: Request) -> bytes:
    if request.body is None:
        return b""
    # A body of unknown length would have to be read to know that it is too large.
    length = request.headers.get("Content-Length")
    if length is None or int(length) > MOST_BYTES:
        raise _too_large()
    body = await request.body.read()
    request.body_bytes = len(body)
    if len(body) > MOST_BYTES:
        raise _too_large()
    return body


def _too_large() -> OAuthError:
    return OAuthError(
        "invalid_request",
        f"send a form of at most {MOST_BYTES} bytes, with its Content-Length",
        http_status=413,
    )


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
    return frozenset(scope for scope in scopes if _SCOPE.fullmatch(scope))


def _basic(value: str) -> tuple[str, str]:
    scheme, _, rest = value.partition(" ")
    try:
        client_id, colon, secret = b64decode(rest.strip(), validate=True).decode().partition(":")
    except (NotBase64, ValueError):
        colon = client_id = secret = ""
    if scheme.lower() != "basic" or not colon:
        raise OAuthError("invalid_client", "expected Authorization: Basic", http_status=401)
    return unquote_plus(client_id), unquote_plus(secret)
