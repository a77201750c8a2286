"""The head of a request in an ASGI scope, below the path where the application is mounted."""

from urllib.parse import quote

from gateway.config.limits import Limits
from gateway.embedding.asgi_types import Scope
from gateway.embedding.heads import ReceivedHead, by_name, check_head
from gateway.http.messages import Request

_PATH = "/:@!$&'()*+,;=~-._"
"""The characters of a path that stay as they are (RFC 3986 section 3.3)."""
_WEBSOCKET_KEY = (b"sec-websocket-key", b"AAAAAAAAAAAAAAAAAAAAAA==")
_WEBSOCKET_VERSION = (b"sec-websocket-version", b"13")
_OF_HANDSHAKE = (b"upgrade", b"sec-websocket-key", b"sec-websocket-version")
_OF_FRAMES = b"sec-websocket-extensions"


def head_of(scope: Scope) -> ReceivedHead:
    """Returns the head of an `http` or a `websocket` scope, unchecked.

    The server has done the handshake of a WebSocket (RFC 6455 section 4.2) and frames its messages,
    so the fields for that have fixed values: in HTTP/2 there are none (RFC 8441 section 5).
    """
    raw = tuple((bytes(name), bytes(value)) for name, value in scope["headers"])
    is_websocket = scope["type"] == "websocket"
    if is_websocket:
        others = [one for one in raw if one[0].lower() not in (*_OF_HANDSHAKE, _OF_FRAMES)]
        raw = (*others, (b"upgrade", b"websocket"), _WEBSOCKET_KEY, _WEBSOCKET_VERSION)
    method = "GET" if is_websocket else scope["method"]
    version = str(scope.get("http_version", "1.1"))
    return ReceivedHead(method, _target(scope), by_name(raw), raw, version)


def checked_request(head: ReceivedHead, scope: Scope, limits: Limits) -> Request:
    """Returns the request of a head; its path is the part below `root_path`.

    Raises:
        StatusError: the head is invalid or over a limit.
    """
    check_head(head, limits)
    request = head.request(peer_of(scope), limits, websockets=scope["type"] == "websocket")
    root = scope.get("root_path", "").rstrip("/")
    if root:
        request.path = _below(request.path, root)
    return request


def peer_of(scope: Scope) -> str:
    """Returns the address of the client, or `unix` if it has none."""
    client = scope.get("client")
    return client[0] if client else "unix"


def _target(scope: Scope) -> str:
    """Returns the path as it was received, or, from a server that does not tell, a like one."""
    raw = scope.get("raw_path")
    path = quote(scope["path"], safe=_PATH) if raw is None else raw.decode("latin-1")
    query = scope.get("query_string", b"").decode("latin-1")
    return f"{path}?{query}" if query else path


def _below(path: str, root: str) -> str:
    """Returns the part of a raw path after `root`, which is decoded.

    A path that does not begin with `root` is returned whole: some servers have removed it.
    """
    at = 0
    for byte in root.encode("utf-8", "surrogateescape"):
        if path[at : at + 1] == "%":
            try:
                found = int(path[at + 1 : at + 3], 16)
            except ValueError:
                return path
            at += 3
        else:
            found = ord(path[at : at + 1] or "\0")
            at += 1
        if found != byte:
            return path
    rest = path[at:]
    if not rest:
        return "/"
    return rest if rest.startswith("/") else path
