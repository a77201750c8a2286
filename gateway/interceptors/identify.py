"""Sends the identity of the caller to back ends, in metadata that no client can set."""

import re
from collections.abc import Callable, Iterable
from typing import Final

from gateway.call import Call, Check, Metadata, Principal
from gateway.config.auth import IdentityOptions
from gateway.http2.headers import literal_start, string
from gateway.transcoding.metadata import NOT_METADATA

Statement = Callable[[Principal, str], str]
"""Makes a signed statement of the identity of a principal, for one service."""

# Claims with other names are left out: metadata cannot have them, and -bin stands for bytes.
_NAME = re.compile(r"(?!.*-bin$)[0-9A-Za-z_.\-]+")
_MOST: Final = 1024


class Identify(Check):
    """Adds the principal to a call's metadata.

    No client can set metadata of these names: `AuthOptions.reserved_metadata`.
    """

    def __init__(self, options: IdentityOptions, jwt: tuple[str, Statement] | None = None) -> None:
        """`jwt` is the name of the metadata for a signed statement, and its maker."""
        self._options = options
        self._jwt = jwt
        # A principal is one object for as long as its credential is cached: its metadata is made
        # and encoded once for all those calls.
        self._known: dict[int, _Identity] = {}

    def check(self, call: Call) -> None:
        """Adds the name, scopes, client and claims of the principal of a call."""
        principal = call.principal
        if principal is not None:
            known = self._known.get(id(principal))
            if known is None or known.principal is not principal:
                known = self._learn(principal)
            # Most calls leave with the encoded head: to decode it would be most of the cost here.
            head = call.unread_metadata if known.block else None
            if head is None:
                call.metadata += known.metadata
            else:
                head.add(known.metadata, known.block)
            if self._jwt is not None:
                name, statement = self._jwt
                stated = statement(principal, call.method.service)
                if head is None:
                    call.metadata.append((name, stated))
                else:
                    block = literal_start(name) + string(stated.encode("ascii"))
                    head.add([(name, stated)], block)

    def _learn(self, principal: Principal) -> "_Identity":
        if len(self._known) >= _MOST:
            self._known.clear()
        known = _Identity(principal, self._metadata_of(principal))
        self._known[id(principal)] = known
        return known

    def _metadata_of(self, principal: Principal) -> Metadata:
        options = self._options
        metadata: Metadata = [
            (options.principal, _printable(principal.name)),
            (options.scopes, _list_of(principal.scopes)),
        ]
        if principal.client:
            metadata.append((options.client, _printable(principal.client)))
        if options.claims_prefix is not None:
            for name, value in principal.claims.items():
                if _NAME.fullmatch(name):
                    metadata.append((options.claims_prefix + name.lower(), _printable(value)))
        return metadata


class _Identity:
    """A principal, and the metadata that names it."""

    __slots__ = ("block", "metadata", "principal")

    def __init__(self, principal: Principal, metadata: Metadata) -> None:
        self.principal = principal
        self.metadata = metadata
        self.block = b""
        """The metadata as fields of HTTP/2; empty if the channel has to judge a name."""
        parts: list[bytes] = []
        for name, value in metadata:
            if name in NOT_METADATA or name.startswith("grpc-") or isinstance(value, bytes):
                return
            parts.append(literal_start(name) + string(value.encode("ascii")))
        self.block = b"".join(parts)


def _list_of(scopes: Iterable[str]) -> str:
    """Joins scopes by spaces; commas are percent-encoded, because some servers split at them."""
    return " ".join(
        _printable(scope).replace(",", "%2C").replace(" ", "%20") for scope in sorted(scopes)
    )


def _printable(text: str) -> str:
    """Encodes a text for metadata, with percent signs where needed (RFC 3986 section 2.1).

    Blanks around a value would be lost on the wire, so they are encoded as well.
    """
    inner = text.strip(" ")
    if not inner:
        return "%20" * len(text)
    before, _, after = text.partition(inner)
    encoded = "".join(
        c if " " <= c <= "~" and c != "%" else "".join(f"%{b:02X}" for b in _bytes(c))
        for c in inner
    )
    return "%20" * len(before) + encoded + "%20" * len(after)


def _bytes(character: str) -> bytes:
    """Encodes UTF-8, also of a lone surrogate, which JSON can contain and UTF-8 cannot."""
    return character.encode("utf-8", "surrogatepass")
