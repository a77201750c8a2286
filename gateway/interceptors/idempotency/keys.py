"""Idempotency keys of requests: their syntax, their scope, and the digest of a request.

Source: draft-ietf-httpapi-idempotency-key-header-07, sections 2.1 to 2.4.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

from gateway.call import Method, Principal

HEADER: Final = "Idempotency-Key"

# A string of RFC 9651 section 3.3.3; or, as many clients send it, a key without quotes.
_QUOTED: Final = re.compile(r'"((?:[ !#-\[\]-~]|\\["\\])*)"')
_BARE: Final = re.compile(r"[!#-+\--\[\]-~]+")
_ESCAPED: Final = re.compile(r"\\(.)")
_MOST_CHARACTERS: Final = 255


def fields_of(headers: Mapping[str, str]) -> list[str]:
    """Returns the values of all header fields with a key; more than one is an error."""
    name = HEADER.lower()
    return [value for key, value in headers.items() if key.lower() == name]


def parse_key(values: Iterable[str]) -> str | None:
    """Returns the key that the fields state; None unless it is one, of 1 to 255 characters."""
    text = ",".join(values).strip(" \t")
    quoted = _QUOTED.fullmatch(text)
    if quoted is not None:
        key = _ESCAPED.sub(r"\1", quoted[1])
    else:
        key = text if _BARE.fullmatch(text) else ""
    return key if 0 < len(key) <= _MOST_CHARACTERS else None


class KeyedMethod:
    """Makes the names under which the keys of one method are stored."""

    def __init__(self, method: Method) -> None:
        self._path = method.path.encode()
        self._type = GetMessageClass(method.input)

    def name(self, principal: Principal | None, key: str) -> str:
        """Returns the name of a key: nobody can reach it from another method or principal."""
        caller = b"" if principal is None else b"=" + _bytes(principal.name)
        return _digest([b"key", self._path, caller, key.encode()], size=20).hex()

    def fingerprint(self, message: bytes) -> bytes:
        """Returns the digest of a request, which the spelling of its JSON does not change."""
        with suppress(DecodeError):  # then the bytes themselves will do: they are equal more rarely
            message = self._type.FromString(message).SerializeToString(deterministic=True)
        return _digest([self._path, message], size=32)


def _digest(parts: Iterable[bytes], size: int) -> bytes:
    digest = hashlib.blake2b(digest_size=size)
    for part in parts:
        digest.update(b"%d:" % len(part))
        digest.update(part)
    return digest.digest()


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")
