"""Security headers: tell browsers how to treat the responses of an API safely.

Source: OWASP's REST Security Cheat Sheet, "Security Headers". If a back end sends one of these
headers itself, its value is kept.
"""

from collections.abc import Callable, Mapping
from typing import Final

from gateway.config.headers import SecurityHeaderOptions
from gateway.http.messages import Headers, Request, Response

IsSecure = Callable[[Request], bool]
"""True if a client uses TLS, with the gateway or with a trusted proxy."""

_HSTS = "Strict-Transport-Security"
_MOST_OTHERS: Final = 64


class SecurityHeaders:
    """Adds the headers to each response."""

    def __init__(
        self,
        options: SecurityHeaderOptions,
        is_secure: IsSecure | bool,  # noqa: FBT001 - the parameter's name explains the value
    ) -> None:
        """`is_secure` is a bool if it is the same for all clients."""
        named = {
            "X-Content-Type-Options": options.content_type_options,
            "Content-Security-Policy": options.content_security_policy,
            "Referrer-Policy": options.referrer_policy,
            "Cross-Origin-Resource-Policy": options.cross_origin_resource_policy,
            "Cache-Control": options.cache_control,
        } | options.more
        plain = {name: value for name, value in named.items() if value}
        hsts = options.strict_transport_security
        self._secure_lines = _lines(plain | ({_HSTS: hsts} if hsts else {}))
        self._lines = self._secure_lines if is_secure is True else _lines(plain)
        self._others: set[str] = set()
        """Names of other headers, as they are spelled."""
        self._is_secure = None if isinstance(is_secure, bool) else is_secure
        """Asked for each response, where clients differ."""

    def add_headers(self, request: Request, response: Response) -> None:
        """Adds the headers that the back end has not sent itself."""
        applicable = self._lines
        if self._is_secure is not None and self._is_secure(request):
            applicable = self._secure_lines
        response.fixed = applicable[""]
        others = self._others
        for name, _ in response.headers:
            if name in others:
                continue
            # Build the lines again only if the back end sent one of these headers.
            if name.lower() in applicable:
                response.fixed = _without(applicable, response.headers)
                break
            if name.lower() not in self._secure_lines and len(others) < _MOST_OTHERS:
                others.add(name)

    @property
    def variant(self) -> Callable[[Request], str] | None:
        """Returns whether the client uses TLS, if that differs between clients."""
        is_secure = self._is_secure
        return None if is_secure is None else lambda one: "secure" if is_secure(one) else ""


def _without(lines: Mapping[str, str], headers: Headers) -> str:
    stated = {name.lower() for name, _ in headers}
    return "".join(line for name, line in lines.items() if name and name not in stated)


def _lines(fields: Mapping[str, str]) -> dict[str, str]:
    """Returns the line of each field by its lower-case name; the key "" has all lines."""
    lines = {name.lower(): f"{name}: {value}\r\n" for name, value in fields.items()}
    return lines | {"": "".join(lines.values())}
