"""CORS: which pages of other origins may call, and read what is answered (WHATWG Fetch, 3.2).

Nothing here protects the gateway: it tells browsers what their users' pages may do.
"""

import re
from collections.abc import Callable, Sequence
from functools import lru_cache

from gateway.config.cors import ANY, CorsOptions
from gateway.config.grammar import TOKEN_CHARACTER
from gateway.config.patterns import REGEX, compile_pattern
from gateway.http.messages import Headers, Request, Response
from gateway.status import Code, StatusError

# What a browser can send as an origin; patterns are shown nothing else.
_ORIGIN = re.compile(r"null|[a-z][a-z0-9+.\-]*://[a-z0-9_.\-\[\]:]+")
_NAMES = re.compile(rf"{TOKEN_CHARACTER}++(?:[ \t]*+,[ \t]*+{TOKEN_CHARACTER}++)*+")
_OURS = "access-control-"
_ASKED = "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"


class Cors:
    """Answers what browsers ask before a call, and tells them who may read an answer."""

    def __init__(
        self, options: CorsOptions, allowed_methods: Callable[[str], Sequence[str]]
    ) -> None:
        """`allowed_methods` are those of a path; none where nothing is served."""
        self._options = options
        self._allowed_methods = allowed_methods
        self._to_anybody = ANY in options.origins
        patterns = [compile_pattern(o) for o in options.origins if o.startswith(REGEX) or "*" in o]
        exact = frozenset(options.origins)
        # Saves matching the same few origins at each request.
        self._is_allowed = lru_cache(maxsize=1024)(
            lambda origin: (
                origin in exact
                or (
                    _ORIGIN.fullmatch(origin) is not None
                    and any(covers(origin) for covers in patterns)
                )
            )
        )
        self._any_header = ANY in options.allow_headers
        self._allow_headers = ", ".join(options.allow_headers)
        self._expose = ", ".join(options.expose_headers)

    def gate(self, request: Request) -> None:
        """Answers a preflight; a request that is none passes.

        Raises:
            StatusError: the answer to a preflight, which is a success.
        """
        if request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
            return
        origin = request.headers.get("Origin")
        allowed = self._allowed_methods(request.path)
        if origin is None or not allowed or not self._admits(origin):
            return  # what OPTIONS answers without a word of CORS is a no
        fields = [
            ("Access-Control-Allow-Methods", _methods(request, allowed)),
            ("Access-Control-Max-Age", str(self._options.max_age_s)),
            ("Vary", _ASKED),
        ]
        names = self._names(request.headers.get("Access-Control-Request-Headers", ""))
        if names:
            fields.append(("Access-Control-Allow-Headers", names))
        if self._options.private_network and "Access-Control-Request-Private-Network" in (
            request.headers
        ):
            fields.append(("Access-Control-Allow-Private-Network", "true"))
        request.own_headers += fields
        allow = ("Allow", ", ".join(allowed))
        raise StatusError(Code.OK, "", http_status=204, headers=[allow])

    def finish(self, request: Request, response: Response) -> None:
        """Tells who may read a response, a refusal too; a back end has no say in it."""
        headers = response.headers
        own = request.own_headers
        if any(name.lower().startswith(_OURS) for name, _ in headers):
            headers[:] = [
                one for one in headers if one in own or not one[0].lower().startswith(_OURS)
            ]
        if not self._to_anybody:
            headers.append(("Vary", "Origin"))
        origin = request.headers.get("Origin")
        if origin is not None and self._admits(origin):
            headers += self._permission(origin)

    def _admits(self, origin: str) -> bool:
        return self._to_anybody or self._is_allowed(origin)

    def _permission(self, origin: str) -> Headers:
        fields = [("Access-Control-Allow-Origin", ANY if self._to_anybody else origin)]
        if self._options.credentials:
            fields.append(("Access-Control-Allow-Credentials", "true"))
        if self._expose:
            fields.append(("Access-Control-Expose-Headers", self._expose))
        return fields

    def _names(self, asked: str) -> str:
        # A star would not cover Authorization, so what is asked for is named.
        if not self._any_header:
            return self._allow_headers
        return asked if _NAMES.fullmatch(asked) else ""


def _methods(request: Request, allowed: Sequence[str]) -> str:
    if ANY in allowed:  # a custom kind that takes all
        asked = request.headers["Access-Control-Request-Method"]
        return asked if _NAMES.fullmatch(asked) else "GET"
    return ", ".join(allowed)
