"""Keys of calls: equal for calls to which the back end cannot tell a difference.

A key has the method, the request message in its canonical form, the caller as back ends see them,
and the metadata that the method's replies may depend on. Nothing else reaches the back end when a
reply is fetched to be stored, so nothing else can change what others get.
"""

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway.call import Metadata, Method, Principal
from gateway.config.cache import CacheRule, CacheScope

Key = bytes
_FORMAT: Final = b"gateway cache 3"
"""The version of what is stored; a reply of another one is not found."""
_SECRET: Final = secrets.token_bytes(16)
"""Makes keys of this process unpredictable, so that nobody can search for two that are equal."""


@dataclass(frozen=True, slots=True)
class KeyedCall:
    """The part of a call that its key depends on, and that its back end receives."""

    key: Key
    message: bytes
    """The request in its canonical form."""
    metadata: Metadata
    """The metadata that the key contains, normalised."""
    owner: str
    """The principal to whose share of the memory the reply counts; empty for replies of all."""


class KeyMaker:
    """Makes the keys of the calls of one method."""

    def __init__(self, method: Method, rule: CacheRule, *, for_store: bool = False) -> None:
        """With `for_store`, all gateways with the same schema and rule make the same keys."""
        self._type = GetMessageClass(method.input)
        self._vary = rule.vary
        self._is_shared = rule.scope is CacheScope.SHARED
        # Without a secret, only the digest keeps two keys apart: it is of 160 bits, so nobody finds
        # two calls with one key.
        self._secret = b"" if for_store else _SECRET
        shared_by = [_FORMAT, _fingerprint(method, rule)] if for_store else []
        self._start = _framed([*shared_by, method.path.encode()])

    def keyed(
        self, message: bytes, principal: Principal | None, metadata: Metadata
    ) -> KeyedCall | None:
        """Returns the key of a call; None if its message has no canonical form.

        `metadata` is read only if the rule has `vary`.
        """
        try:
            parsed = self._type.FromString(message)
        except DecodeError:
            return None
        canonical = parsed.SerializeToString(deterministic=True)
        parts = [canonical]
        owner = ""
        if principal is not None and not self._is_shared:
            owner = principal.name
            parts += _identity(principal)
        parts.append(b"")  # ends the identity, whose number of parts varies
        kept = self.varying(metadata)
        for name in self._vary:
            values = [value for key, value in kept if key == name]
            parts.append(b"%d" % len(values))  # absent is not empty (RFC 9111 section 4.1)
            parts += [v if isinstance(v, bytes) else v.encode() for v in values]
        digest = hashlib.blake2b(self._start, digest_size=20, key=self._secret)
        digest.update(_framed(parts))
        return KeyedCall(digest.digest(), canonical, kept, owner)

    def varying(self, metadata: Metadata) -> Metadata:
        """Returns the metadata that the key contains, each value spelled in one way."""
        kept: Metadata = []
        for name in self._vary:
            values = [_normal(name, value) for key, value in metadata if key == name]
            if name.endswith("-bin"):
                kept += [(name, value) for value in values]
            elif values:
                kept.append((name, ", ".join([str(value) for value in values])))
        return kept


def _fingerprint(method: Method, rule: CacheRule) -> bytes:
    """Returns a digest of all that gives a stored reply its meaning: its messages, and the rule.

    A gateway with a changed message or rule must not send what another one has stored.
    """
    files: dict[str, bytes] = {}
    waiting = [method.input.file, method.output.file]
    while waiting:
        file = waiting.pop()
        if file.name not in files:
            files[file.name] = file.serialized_pb
            waiting += file.dependencies
    parts = [part for name in sorted(files) for part in (name.encode(), files[name])]
    digest = hashlib.blake2b(_framed([*parts, rule.model_dump_json().encode()]), digest_size=20)
    return digest.digest()


def _identity(principal: Principal) -> list[bytes]:
    """Returns all that a back end can be told of a principal."""
    texts = [principal.name, principal.client, principal.kind, str(len(principal.scopes))]
    texts += sorted(principal.scopes)
    for name in sorted(principal.claims):
        texts += [name, principal.claims[name]]
    return [b"principal", *[str(text).encode("utf-8", "surrogatepass") for text in texts]]


def _normal(name: str, value: str | bytes) -> str | bytes:
    """Spells a value in one way: single spaces, and languages in lower case (RFC 4647)."""
    if isinstance(value, bytes):
        return value
    text = " ".join(value.split())
    return text.lower() if name == "accept-language" else text


def _framed(parts: Iterable[bytes]) -> bytes:
    """Joins parts so that no two lists give the same bytes."""
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])
