"""The handshake that turns an HTTP request into a WebSocket (RFC 6455 section 4.2).

It also checks the origin of the page that asks for one.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from multidict import CIMultiDict, CIMultiDictProxy
from websockets.datastructures import Headers
from websockets.exceptions import InvalidHandshake
from websockets.extensions import Extension
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.server import ServerProtocol
from websockets.utils import accept_key

from gateway.config.websocket import WebSocketOptions
from gateway.http.messages import HeaderFields, Request
from gateway.status import Code, StatusError, invalid_argument

JSON_PROTOCOL = "grpc-rest.json"
"""Messages are JSON in text frames."""
PROTOBUF_PROTOCOL = "grpc-rest.protobuf"
"""Messages are protobuf in binary frames."""
BEARER = "bearer."
"""The prefix of a token that is offered as a protocol: a browser cannot set other headers."""

_VERSION = "13"
_KEY = re.compile("[A-Za-z0-9+/]{22}==")
"""16 bytes in base64."""
_OFFERS = "Sec-WebSocket-Protocol"
_DEFAULT_PORTS = {"http": 80, "https": 443}
# A window of 4 KiB and a small table: about 32 KiB for each connection instead of 300.
_DEFLATE = ServerPerMessageDeflateFactory(
    server_max_window_bits=12, client_max_window_bits=12, compress_settings={"memLevel": 5}
)


@dataclass(frozen=True, slots=True)
class Handshake:
    """The result of a handshake."""

    fields: list[tuple[str, str]]
    """The header fields of the response."""
    is_protobuf: bool
    extensions: Sequence[Extension]


def move_token_to_header(request: Request) -> None:
    """Moves a token that is offered as a protocol into the `Authorization` header.

    The token is removed from all other fields. The fields of the handshake are no metadata
    (`NOT_METADATA`), so back ends do not receive them.

    Raises:
        StatusError: INVALID_ARGUMENT for two credentials, or an empty one.
    """
    if _OFFERS not in request.fields.by_name:
        return
    offers = _offers(request.headers)
    tokens = [offer.removeprefix(BEARER) for offer in offers if offer.startswith(BEARER)]
    headers = CIMultiDict(request.headers)
    raw = [pair for pair in request.fields.raw if not pair[0].lower().startswith(b"sec-websocket")]
    headers.popall(_OFFERS, None)
    rest = [offer for offer in offers if not offer.startswith(BEARER)]
    if rest:
        headers[_OFFERS] = ", ".join(rest)
    elif tokens:
        headers[_OFFERS] = ""
    is_doubled = len(tokens) > 1 or (bool(tokens) and "Authorization" in headers)
    is_empty = bool(tokens) and not tokens[0]
    if tokens and not (is_doubled or is_empty):
        headers["Authorization"] = f"Bearer {tokens[0]}"
        raw.append((b"authorization", b"Bearer " + tokens[0].encode("utf-8", "surrogateescape")))
    request.fields = HeaderFields(CIMultiDictProxy(headers), raw)
    if is_doubled:
        raise invalid_argument("", "there are two credentials; send one")
    if is_empty:
        raise invalid_argument("", f"expected a token after {BEARER}")


def accept_handshake(request: Request, options: WebSocketOptions) -> Handshake:
    """Checks the client's part of the handshake and returns the server's part.

    Raises:
        StatusError: the client's part is invalid, or its origin is not allowed.
    """
    headers = request.fields.by_name
    if headers.get("Sec-WebSocket-Version") != _VERSION:
        raise StatusError(  # RFC 6455 section 4.4
            Code.INVALID_ARGUMENT,
            f"expected Sec-WebSocket-Version: {_VERSION}",
            http_status=426,
            headers=[("Sec-WebSocket-Version", _VERSION), ("Upgrade", "websocket")],
        )
    key = headers.get("Sec-WebSocket-Key", "")
    if not _KEY.fullmatch(key):
        raise invalid_argument("", "expected a Sec-WebSocket-Key of 16 bytes in base64")
    origin = headers.get("Origin")
    if origin is not None:  # only browsers send it; another client could send any
        _check_origin(origin, request.fields.host, options.origins)
    fields = [("Upgrade", "websocket"), ("Sec-WebSocket-Accept", accept_key(key))]
    protocol = _choose_protocol(headers) if _OFFERS in headers else ""
    if protocol:
        fields.append((_OFFERS, protocol))
    extensions: Sequence[Extension] = ()
    if options.compression:
        agreed, extensions = _agree_on_compression(headers)
        if agreed is not None:
            fields.append(("Sec-WebSocket-Extensions", agreed))
    return Handshake(fields, protocol == PROTOBUF_PROTOCOL, extensions)


def _offers(headers: Mapping[str, str]) -> list[str]:
    values = headers.getall(_OFFERS, ()) if isinstance(headers, CIMultiDictProxy) else ()
    return [offer.strip() for value in values for offer in value.split(",") if offer.strip()]


def _choose_protocol(headers: Mapping[str, str]) -> str:
    """Returns the protocol to use, of those that the client offers.

    Raises:
        StatusError: INVALID_ARGUMENT if it offers only others: a browser would close the WebSocket.
    """
    for offer in _offers(headers):
        if offer in (JSON_PROTOCOL, PROTOBUF_PROTOCOL):
            return offer
    raise invalid_argument(
        "", f"expected {JSON_PROTOCOL} or {PROTOBUF_PROTOCOL} among the protocols offered"
    )


def _check_origin(origin: str, host: str, allowed: Sequence[str]) -> None:
    """Rejects pages of other sites, which would use the credentials of their visitor.

    RFC 6455 section 10.2.

    Raises:
        StatusError: PERMISSION_DENIED.
    """
    if "*" in allowed or origin.lower() in map(str.lower, allowed):
        return
    if not _is_same_origin(origin, host):
        raise StatusError(
            Code.PERMISSION_DENIED, "pages of this origin may not connect; see websocket.origins"
        )


def _is_same_origin(origin: str, host: str) -> bool:
    """True if host and port are equal; a proxy that terminates TLS changes the scheme."""
    try:
        parts = urlsplit(origin)
        default = _DEFAULT_PORTS[parts.scheme]
        own = urlsplit(f"//{host}")
        return bool(parts.hostname) and (parts.hostname, parts.port or default) == (
            own.hostname,
            own.port or default,
        )
    except (ValueError, KeyError):
        return False


def _agree_on_compression(headers: Mapping[str, str]) -> tuple[str | None, Sequence[Extension]]:
    offered = Headers()
    if isinstance(headers, CIMultiDictProxy):
        for value in headers.getall("Sec-WebSocket-Extensions", ()):
            offered["Sec-WebSocket-Extensions"] = value
    try:
        return ServerProtocol(extensions=[_DEFLATE]).process_extensions(offered)
    except InvalidHandshake:
        raise invalid_argument("", "the Sec-WebSocket-Extensions header is malformed") from None
