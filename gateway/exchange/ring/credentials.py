"""Checks of where in a request a credential is: in its header, once, and in no URL."""

import re
from collections.abc import Collection, Sequence
from urllib.parse import unquote

from gateway.auth.refusals import unclear
from gateway.config.grammar import SECRET
from gateway.exchange.ring.ring import HeaderCheck, RequestCheck
from gateway.http.header_fields import HeaderFields
from gateway.http.messages import Request
from gateway.status import StatusError

_SECRET = re.compile(SECRET)
_TOKEN_PARAMETER = re.compile(r"(?:^|&)access_token=")


def credential_gate(
    gates: Sequence[HeaderCheck], token_paths: Collection[str] = ()
) -> RequestCheck:
    """One gate: no credential is in the URL, and `gates` let the header fields pass.

    Those are asked once for all requests that share their fields. There may be one such gate in a
    ring. The endpoints on `token_paths` refuse most of this themselves, in RFC 6749's words.

    URLs are written down everywhere, so no credential is taken from one (RFC 9700 section 4.3.2).
    """

    def gate(request: Request) -> None:
        path, query = request.path, request.query
        if "%" in path:
            path = unquote(path)
        if "gw" in path and _SECRET.search(path):
            request.path = _SECRET.sub("***", path)  # the access log is such a place
            raise _token_in_url()
        is_token_path = path in token_paths
        if query and (_TOKEN_PARAMETER.search(query) or _SECRET.search(unquote(query))):
            if is_token_path and request.method == "POST":
                return  # they take nothing from a URL, and say so in their own words
            raise _token_in_url()
        fields = request.fields
        if not fields.are_clear and not is_token_path:
            for one in gates:
                one(fields)
            fields.are_clear = True

    return gate


def is_authorized_twice(fields: HeaderFields) -> bool:
    """Whether there are two `Authorization` headers."""
    return [name.lower() for name, _ in fields.raw].count(b"authorization") > 1


def refuse_doubled_credentials(fields: HeaderFields) -> None:
    """Refuses two `Authorization` headers: some would believe the one and some the other."""
    if is_authorized_twice(fields):
        raise unclear("the Authorization header is there twice")


def refuse_unclear_keys(header: str) -> HeaderCheck:
    """A gate: of two credentials some would believe the one and some the other.

    RFC 6750 section 2 says the same of tokens.
    """
    name = header.lower().encode()

    def gate(fields: HeaderFields) -> None:
        if header not in fields.by_name:
            return
        if [raw.lower() for raw, _ in fields.raw].count(name) > 1:
            raise unclear(f"the {header} header is there twice")
        if "Authorization" in fields.by_name:
            raise unclear(f"expected {header} or Authorization, and not both")

    return gate


def _token_in_url() -> StatusError:
    return unclear("a credential must not be in a URL; send it in a header")
