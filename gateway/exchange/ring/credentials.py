"""Checks that a request has its credential once, in a header, and never in the URL."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import unquote

from gateway.auth.authenticator import StatusError, unclear
from gateway.config.grammar import SECRET, SECRET_START
from gateway.exchange.ring.ring import HeaderCheck, HeaderFields, Request, RequestCheck

_SECRET = re.compile(SECRET)
_TOKEN_PARAMETER = re.compile(r"(?:^|&)access_token=")
_ESCAPED_NAME = re.compile(r"(?:^|&)([^&=%]*%[^&=]*)=")


def credential_check(
    checks: Sequence[HeaderCheck], token_paths: Collection[str] = ()
) -> RequestCheck:
    """Returns a check: no credential is in the URL, and the header fields pass `checks`.

    `checks` run once for all requests that share their header fields. The endpoints on
    `token_paths` reject most of these requests on their own, with the errors of RFC 6749.

    A credential is never accepted in a URL, because URLs are logged in many places (RFC 9700
    section 4.3.2); one that a service config allows there has been moved (`key_places`).
    """

    own_paths, header_checks = frozenset(token_paths), tuple(checks)

    def check(request: Request) -> None:
        path, query = request.path, request.query
        if "%" in path:
            path = unquote(path)
        if SECRET_START in path and _SECRET.search(path):
            request.path = _SECRET.sub("***", path)  # keep it out of the access log
            raise _token_in_url()
        is_token_path = bool(own_paths) and path in own_paths
        if query and (_has_token(query) or _SECRET.search(unquote(query))):
            if is_token_path and request.method == "POST":
                return  # the token endpoints reject it with an error of RFC 6749
            raise _token_in_url()
        fields = request.fields
        if not fields.are_checked and not is_token_path:
            for check_fields in header_checks:
                check_fields(fields)
            fields.are_checked = True

    return check


def _has_token(query: str) -> bool:
    """True if a query has the parameter `access_token` (RFC 6750 section 2.3)."""
    if _TOKEN_PARAMETER.search(query):
        return True
    return any(unquote(name) == "access_token" for name in _ESCAPED_NAME.findall(query))


def is_authorized_twice(fields: HeaderFields) -> bool:
    """True if there is more than one `Authorization` header."""
    # A head of known lines has each role once at most.
    return fields.is_parsed and fields.count(b"authorization") > 1


def refuse_doubled_credentials(fields: HeaderFields) -> None:
    """Rejects a repeated `Authorization` header: servers differ in which one they use.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    # A plain head has none.
    if not fields.is_plain and is_authorized_twice(fields):
        raise unclear("the Authorization header was sent twice; expected it once")


def refuse_unclear_keys(header: str) -> HeaderCheck:
    """Returns a check that rejects two credentials: servers differ in which one they use.

    RFC 6750 section 2 has the same rule for tokens.
    """
    name = header.lower().encode()

    def check(fields: HeaderFields) -> None:
        if fields.first(name) is None:
            fields.keyless = name
            return
        if fields.count(name) > 1:
            raise unclear(f"the {header} header was sent twice; expected it once")
        if fields.count(b"authorization"):
            raise unclear(f"expected {header} or Authorization, and not both")

    return check


def _token_in_url() -> StatusError:
    return unclear("a credential must not be in a URL; send it in a header")
