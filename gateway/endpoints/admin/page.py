"""The page of the admin listener, for people: it asks the other endpoints again and again.

All that it loads comes from this listener. Its policy (Content Security Policy Level 3) allows no
script or style in the page itself, and requests only to where it came from.
"""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from gateway.http.messages import Endpoint, Endpoints, Headers, Request, Response

_FILES: Final[Mapping[str, tuple[str, str]]] = {
    "/": ("page.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
PAGE_PATHS: Final = frozenset(_FILES)
"""The paths of the page and its files. They show nothing of this gateway, so they need no token:
a browser could not send one. The page asks for the token, and sends it with what it asks."""

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


def page_endpoints() -> Endpoints:
    """Returns the endpoints of the page and of the files that it loads."""
    return {path: {"GET": _file(*named)} for path, named in _FILES.items()}


def _file(name: str, media_type: str) -> Endpoint:
    headers: Headers = [
        ("Content-Security-Policy", _POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-cache"),
    ]
    body = files(__package__ or "").joinpath("page_files", name).read_bytes()

    async def answer(request: Request) -> Response:
        del request
        return Response(200, [*headers], body, media_type)

    return answer
