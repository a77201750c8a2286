"""Tells back ends who is calling, in metadata that no client can set."""

import re
from collections.abc import Awaitable, Callable, Iterable

from gateway.call import Call, Handler, Metadata, Principal, Reply
from gateway.config.auth import IdentityOptions

Statement = Callable[[Principal, str], str]
"""Makes a signed statement of who a principal is, for one service."""

# What metadata cannot be called stays behind; -bin would promise bytes.
_NAME = re.compile(r"(?!.*-bin$)[0-9A-Za-z_.\-]+")
_MOST = 1024


class Identify:
    """Adds the principal to a call's metadata.

    The names it uses the front end takes from no client: `AuthOptions.reserved_metadata`.
    """

    def __init__(self, options: IdentityOptions, jwt: tuple[str, Statement] | None = None) -> None:
        """`jwt`: a signed statement, and the metadata it travels in."""
        self._options = options
        self._jwt = jwt
        # A principal is the same object for as long as its credential is remembered: what is told
        # of it is written once for all those calls.
        self._known: dict[int, tuple[Principal, Metadata]] = {}

    def __call__(self, call: Call, proceed: Handler) -> Awaitable[Reply]:
        """Hands a call on with its principal's name, scopes, client and claims."""
        principal = call.principal
        if principal is not None:
            known = self._known.get(id(principal))
            if known is None or known[0] is not principal:
                known = self._learn(principal)
            call.metadata += known[1]
            if self._jwt is not None:
                name, statement = self._jwt
                call.metadata.append((name, statement(principal, call.method.service)))
        return proceed(call)

    def _learn(self, principal: Principal) -> tuple[Principal, Metadata]:
        if len(self._known) >= _MOST:
            self._known.clear()
        known = self._known[id(principal)] = (principal, self._told(principal))
        return known

    def _told(self, principal: Principal) -> Metadata:
        options = self._options
        told: Metadata = [
            (options.principal, _printable(principal.name)),
            (options.scopes, _list_of(principal.scopes)),
        ]
        if principal.client:
            told.append((options.client, _printable(principal.client)))
        if options.claims_prefix is not None:
            for name, value in principal.claims.items():
                if _NAME.fullmatch(name):
                    told.append((options.claims_prefix + name.lower(), _printable(value)))
        return told


def _list_of(scopes: Iterable[str]) -> str:
    """Scopes parted by spaces; a comma in one is percent-encoded, for some part lists there."""
    return " ".join(
        _printable(scope).replace(",", "%2C").replace(" ", "%20") for scope in sorted(scopes)
    )


def _printable(text: str) -> str:
    """`text` as metadata can carry it, percent-encoded where it cannot (RFC 3986 section 2.1).

    Blanks around a value are no part of it on the wire, so they are encoded as well.
    """
    inner = text.strip(" ")
    if not inner:
        return "%20" * len(text)
    before, _, behind = text.partition(inner)
    encoded = "".join(
        c if " " <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in _bytes(c))
        for c in inner
    )
    return "%20" * len(before) + encoded + "%20" * len(behind)


def _bytes(character: str) -> bytes:
    """UTF-8, also of a lone surrogate, which JSON can hold and UTF-8 cannot."""
    return character.encode("utf-8", "surrogatepass")
