"""JWTs of other issuers as bearer credentials: RFC 7519, checked as RFC 8725 and RFC 9068 require.

Before the signature is verified only `alg`, `kid` and `iss` are read, and only to select an issuer
and a key of the configuration. Keys in or linked from a token (`jwk`, `jku`, `x5c`, `x5u`) are
ignored.
"""

import json
import math
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, NoReturn

from gateway.auth.authenticator import BEARER, MUST_ASK, MustAsk, cannot_check, unauthenticated
from gateway.auth.cache import RecentValues
from gateway.auth.jwt.jwks import IssuerKeys, KeysUnavailableError, usual_name
from gateway.auth.names import MalformedError, can_be_granted, check_name
from gateway.auth.tokens.authenticator import token_of, usual
from gateway.call import Call, Principal
from gateway.config.credentials import JwtIssuer

_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class JwtError(Exception):
    """An invalid token; the message says why, quotes nothing of it, and may reach the client."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A parsed token; nothing in it is verified yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def parse_jwt(text: str) -> Jwt:
    """Parses a JWS in its compact form (RFC 7515 section 7.1).

    Raises:
        JwtError: the text is not one.
    """
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        raise JwtError("the token is malformed")
    header, claims, signature = (_bytes(part) for part in parts.groups())
    end = parts.end(2)
    signed = text[:end].encode()
    return Jwt(_object(header), _object(claims), signed, signature)


class Issuer:
    """A trusted issuer, and the checks for its tokens."""

    def __init__(self, options: JwtIssuer, keys: IssuerKeys) -> None:
        self.options = options
        self.keys = keys
        names = set(map(str, options.algorithms))
        # The general name of an algorithm allows the specific one (RFC 9864 section 2.2).
        self._algorithms = names | {"Ed25519"} if "EdDSA" in names else names
        self._types = frozenset(map(_type, options.types))
        self._audiences = frozenset(options.audiences)

    async def verify(self, jwt: Jwt, now_s: float) -> float:
        """Verifies a token, and returns when it expires.

        Raises:
            JwtError: the token is invalid.
            KeysUnavailableError: its issuer's keys are not available.
        """
        algorithm = self._check_header(jwt.header)
        kid = jwt.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise JwtError("the kid of the token is not a string")
        keys = await self.keys.find(algorithm, kid)
        if not any(key.verify(algorithm, jwt.signed, jwt.signature) for key in keys):
            raise JwtError("the token is not signed by its issuer")
        return self._check_claims(jwt.claims, now_s)

    def principal(self, jwt: Jwt, text: str) -> Principal:
        """The principal of a verified token.

        Raises:
            JwtError: the token has no valid name for it.
        """
        options, claims = self.options, jwt.claims
        name = _claim(claims, options.principal)
        if not isinstance(name, str):
            raise JwtError(f"the token has no string as its {options.principal}")
        try:
            check_name("name", name)  # checked without the prefix, which could hide an empty name
            check_name("principal", options.prefix + name)
        except MalformedError:
            raise JwtError(f"the {options.principal} of the token is not a valid name") from None
        values = {name: _claim(claims, path) for name, path in options.claims.items()}
        client = claims.get("client_id", claims.get("azp"))  # RFC 9068 section 2.2; OIDC Core 2
        return Principal(
            options.prefix + name,
            frozenset(scope for path in options.scopes for scope in _scopes(_claim(claims, path))),
            {name: _text(value) for name, value in values.items() if value is not None},
            client if isinstance(client, str) else "",
            "jwt",
            sha256(text.encode()).hexdigest()[:16],
        )

    def _check_header(self, header: Mapping[str, Any]) -> str:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise JwtError("the algorithm of the token is not allowed for its issuer")
        if "crit" in header:
            # RFC 7515 section 4.1.11: critical extensions must be understood; we support none.
            raise JwtError("the token has critical extensions, and none are supported here")
        if self._types and _type(header.get("typ")) not in self._types:
            raise JwtError("the typ of the token is not allowed for its issuer")
        return usual_name(algorithm)

    def _check_claims(self, claims: Mapping[str, Any], now_s: float) -> float:
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or not any(
            isinstance(one, str) and one in self._audiences for one in audiences
        ):
            raise JwtError("the token is for another audience")
        leeway_s = self.options.leeway_s
        expires_at_s = _instant(claims, "exp")
        if expires_at_s is None:
            raise JwtError("the token has no exp, so it would never expire")
        if now_s >= expires_at_s + leeway_s:
            raise JwtError("the token has expired")
        begins_at_s = _instant(claims, "nbf")
        if begins_at_s is not None and now_s < begins_at_s - leeway_s:
            raise JwtError("the token is not valid yet")
        return expires_at_s + leeway_s


class JwtAuthenticator:
    """Maps the JWTs of trusted issuers to principals."""

    kind = "jwt"
    challenge = BEARER

    def __init__(
        self,
        issuers: Sequence[Issuer],
        *,
        max_bytes: int,
        remember_s: float,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._issuers = {issuer.options.issuer: issuer for issuer in issuers}
        self._max_bytes = max_bytes
        self._remember_s = remember_s
        self._clock = clock
        # Verifying a signature costs more than the rest of a call, so results are cached. Tokens
        # are secrets: they stay in this process.
        self._known = RecentValues[str, Principal]()

    def __repr__(self) -> str:
        return f"<JwtAuthenticator, {len(self._issuers)} issuers, {len(self._known)} tokens>"

    def recall(self, _: Call, shown: str | None) -> Principal | MustAsk | None:
        """The principal of the token, if cached; see `Authenticator.recall`.

        Ignores bearer tokens that do not look like a JWT: they are for other authenticators.
        """
        if shown is None:
            return None
        known = self._known.get(shown)
        if known is None:
            text = token_of(shown)
            if text is None:
                return None
            known = self._known.get(usual(text))
        if known is not None and known[0] > self._clock():
            return known[1]
        return None if shown.count(".") != 2 else MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        """The principal of the token; see `Authenticator.authenticate`."""
        shown = call.header("Authorization", b"authorization")
        found = self.recall(call, shown)
        if found is not MUST_ASK:
            return found
        text = token_of(shown) or ""
        try:
            return await self._check(text)
        except JwtError as error:
            raise unauthenticated(str(error)) from None
        except KeysUnavailableError:
            raise cannot_check() from None

    async def _check(self, text: str) -> Principal:
        if len(text) > self._max_bytes:
            raise JwtError(f"the token is longer than {self._max_bytes} bytes")
        jwt = parse_jwt(text)
        name = jwt.claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise JwtError("the issuer of the token is not trusted here")
        until_s = await issuer.verify(jwt, self._clock())
        principal = issuer.principal(jwt, text)
        self._known.put(usual(text), principal, min(until_s, self._clock() + self._remember_s))
        return principal


def _bytes(part: str) -> bytes:
    """Decodes base64url without padding, in its one canonical form (RFC 7515 section 2)."""
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except Base64Error:
        raise JwtError("the token is malformed") from None
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise JwtError("the token is malformed")
    return decoded


def _object(document: bytes) -> Mapping[str, Any]:
    """Parses a JSON object, and rejects a repeated member (RFC 7519 section 4)."""
    try:
        found = json.loads(document, object_pairs_hook=_members, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise JwtError("the token is malformed") from None
    if not isinstance(found, dict):
        raise JwtError("the token is malformed")
    return found


def _members(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError
    return found


def _no_number(_: str) -> NoReturn:
    raise ValueError  # RFC 8259 section 6: NaN and Infinity are not allowed


def _type(text: object) -> str:
    """Normalizes a media type for comparison (RFC 7515 section 4.1.9)."""
    return text.lower().removeprefix("application/") if isinstance(text, str) else ""


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate claim (RFC 7519 section 2); None if it is missing."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise JwtError(f"the {name} of the token is not a number of seconds")
    return float(value)


def _is_finite(value: Any) -> bool:
    """True for a number of bounded size; not of `float`, which compiled code makes of integers."""
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim with this name, or the one that a dotted path leads to; None if missing."""
    if path in claims:
        return claims[path]  # names with dots are common: https://example.com/roles
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _scopes(value: Any) -> list[str]:
    """Scopes of a space-separated text (RFC 8693 section 4.2) or a list; skips invalid ones."""
    found = value.split(" ") if isinstance(value, str) else value
    if not isinstance(found, list):
        return []
    return [scope for scope in found if isinstance(scope, str) and can_be_granted(scope)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
