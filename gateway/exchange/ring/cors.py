"""CORS: lets pages of other origins call the gateway and read responses (WHATWG Fetch, 3.2).

CORS does not protect the gateway: it tells browsers which pages may send requests and read
responses.
"""

import re
from collections.abc import Callable, Sequence
from typing import Final

from gateway.config.cors import ANY, CorsOptions
from gateway.config.grammar import TOKEN_CHARACTER
from gateway.config.patterns import REGEX, compile_pattern
from gateway.http.messages import Code, Request, Response, StatusError

# The origins that a browser can send; anything else is rejected before a pattern is tried.
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.\-]*://[a-z0-9_.\-\[\]:]+")
_NAMES = re.compile(rf"{TOKEN_CHARACTER}++(?:[ \t]*+,[ \t]*+{TOKEN_CHARACTER}++)*+")
_PREFIX: Final = "access-control-"
_LENGTH: Final = len(_PREFIX)
_MOST_ORIGINS: Final = 1024
_LONGEST_ORIGIN: Final = 256
_VARY = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """Answers preflight requests, and adds CORS headers to responses."""

    def __init__(
        self, options: CorsOptions, allowed_methods: Callable[[str], Sequence[str]]
    ) -> None:
        """Takes `allowed_methods`, which returns the HTTP methods of a path; empty for none."""
        self._options = options
        self._allowed_methods = allowed_methods
        self._any_origin = ANY in options.origins
        self._patterns = [
            compile_pattern(o) for o in options.origins if o.startswith(REGEX) or "*" in o
        ]
        self._exact = frozenset(options.origins)
        self._known: dict[str | None, str] = {}
        """The lines for origins: the same few come with every request."""
        self._any_header = ANY in options.allow_headers
        self._allow_headers = ", ".join(options.allow_headers)
        self._expose = ", ".join(options.expose_headers)

    def check(self, request: Request) -> None:
        """Answers a preflight request; any other request passes.

        Raises:
            StatusError: the answer to a preflight: OK, with HTTP status 204.
        """
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return
        origin = request.headers.get("Origin")
        allowed = self._allowed_methods(request.path)
        if origin is None or not allowed or not self._allows(origin):
            return  # the answer to OPTIONS without CORS headers tells the browser "not allowed"
        fields = [
            ("Access-Control-Allow-Methods", _methods(request, allowed)),
            ("Access-Control-Max-Age", str(self._options.max_age_s)),
            ("Vary", _VARY),
        ]
        names = self._allowed_headers(request.headers.get("Access-Control-Request-Headers", ""))
        if names:
            fields.append(("Access-Control-Allow-Headers", names))
        if self._options.private_network and "Access-Control-Request-Private-Network" in (
            request.headers
        ):
            fields.append(("Access-Control-Allow-Private-Network", "true"))
        request.own_headers += fields
        allow = ("Allow", ", ".join(allowed))
        raise StatusError(Code.OK, "", http_status=204, headers=[allow])

    def add_headers(self, request: Request, response: Response) -> None:
        """Adds the CORS headers to a response, also to an error; removes those of a back end."""
        headers = response.headers
        for name, _ in headers:
            if len(name) > _LENGTH and name[0] in "Aa" and name.lower().startswith(_PREFIX):
                own = request.own_headers
                headers[:] = [
                    one for one in headers if one in own or not one[0].lower().startswith(_PREFIX)
                ]
                break
        # After those of all responses: one text costs less than a list of fields.
        origin = request.fields.first(b"origin")
        lines = self._known.get(origin)
        if lines is None:
            lines = self._learn(origin)
        response.fixed += lines

    def variant(self, request: Request) -> str:
        """Returns the origin of the page that sent a request."""
        return request.fields.first(b"origin") or ""

    def _allows(self, origin: str) -> bool:
        if self._any_origin or origin in self._exact:
            return True
        if _ORIGIN.fullmatch(origin) is None:
            return False
        return any(covers(origin) for covers in self._patterns)

    def _learn(self, origin: str | None) -> str:
        """Returns the lines for an origin, and remembers them for the next responses."""
        lines = self._lines_for(origin)
        if origin is None or len(origin) <= _LONGEST_ORIGIN:
            if len(self._known) >= _MOST_ORIGINS:  # clients choose their texts
                self._known.clear()
            self._known[origin] = lines
        return lines

    def _lines_for(self, origin: str | None) -> str:
        """Returns the lines that let pages of an origin read responses, where they may."""
        fields = [] if self._any_origin else [("Vary", "Origin")]
        if origin is not None and self._allows(origin):
            fields.append(("Access-Control-Allow-Origin", ANY if self._any_origin else origin))
            if self._options.credentials:
                fields.append(("Access-Control-Allow-Credentials", "true"))
            if self._expose:
                fields.append(("Access-Control-Expose-Headers", self._expose))
        return "".join(f"{name}: {value}\r\n" for name, value in fields)

    def _allowed_headers(self, requested: str) -> str:
        # `*` would not cover Authorization, so repeat the names that the browser requested.
        if not self._any_header:
            return self._allow_headers
        return requested if _NAMES.fullmatch(requested) else ""


def _methods(request: Request, allowed: Sequence[str]) -> str:
    if ANY in allowed:  # an HTTP rule of kind `custom` that takes every method
        requested = request.headers["Access-Control-Request-Method"]
        return requested if _NAMES.fullmatch(requested) else "GET"
    return ", ".join(allowed)
