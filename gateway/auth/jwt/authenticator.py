"""JWTs of other issuers as bearer credentials: RFC 7519, checked as RFC 8725 and RFC 9068 ask.

Of what a token says about itself only `alg`, `kid` and `iss` are believed before its signature is
checked, and only to pick among what the configuration knows. Keys that a token brings along or
points to (`jwk`, `jku`, `x5c`, `x5u`) are not looked at.
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

from gateway.auth.authenticator import MUST_ASK, MustAsk
from gateway.auth.cache import RecentValues
from gateway.auth.jwt.jwks import IssuerKeys, KeysUnavailableError, usual_name
from gateway.auth.names import MalformedError, can_be_granted, check_name
from gateway.auth.refusals import BEARER, cannot_check, unauthenticated
from gateway.auth.tokens.authenticator import bearer
from gateway.call import Call, Principal
from gateway.config.credentials import JwtIssuer

_SHAPE = re.compile(r"([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)\.([A-Za-z0-9_-]+)")


class JwtError(Exception):
    """A token that is no good; the text says why, quotes nothing of it, and may be shown."""


@dataclass(frozen=True, slots=True)
class Jwt:
    """A token taken apart; nothing of it is proven yet."""

    header: Mapping[str, Any]
    claims: Mapping[str, Any]
    signed: bytes
    signature: bytes


def parse_jwt(text: str) -> Jwt:
    """The parts of a JWS in its compact form (RFC 7515 section 7.1).

    Raises:
        JwtError: it is none.
    """
    parts = _SHAPE.fullmatch(text)
    if parts is None:
        raise JwtError("the token is malformed")
    header, claims, signature = (_bytes(part) for part in parts.groups())
    signed = text[: parts.end(2)].encode()
    return Jwt(_object(header), _object(claims), signed, signature)


class Issuer:
    """One who signs tokens, and what is asked of them."""

    def __init__(self, options: JwtIssuer, keys: IssuerKeys) -> None:
        self.options = options
        self.keys = keys
        names = set(map(str, options.algorithms))
        # Who takes the wider name takes the narrower one (RFC 9864 section 2.2).
        self._algorithms = names | {"Ed25519"} if "EdDSA" in names else names
        self._types = frozenset(map(_type, options.types))
        self._audiences = frozenset(options.audiences)

    async def verify(self, jwt: Jwt, now_s: float) -> float:
        """Returns when a token that is good expires.

        Raises:
            JwtError: it is not good.
            KeysUnavailableError: nobody can tell.
        """
        algorithm = self._check_header(jwt.header)
        kid = jwt.header.get("kid")
        if kid is not None and not isinstance(kid, str):
            raise JwtError("the kid of the token is no text")
        keys = await self.keys.find(algorithm, kid)
        if not any(key.verify(algorithm, jwt.signed, jwt.signature) for key in keys):
            raise JwtError("the token is not signed by its issuer")
        return self._check_claims(jwt.claims, now_s)

    def principal(self, jwt: Jwt, text: str) -> Principal:
        """Who a token that is good speaks for.

        Raises:
            JwtError: it does not say.
        """
        options, claims = self.options, jwt.claims
        name = _claim(claims, options.principal)
        if not isinstance(name, str):
            raise JwtError(f"the token has no text as its {options.principal}")
        try:
            check_name("name", name)  # by itself too: no prefix makes one of nothing, or of a blank
            check_name("principal", options.prefix + name)
        except MalformedError:
            raise JwtError(f"the {options.principal} of the token is no name") from None
        told = {name: _claim(claims, path) for name, path in options.claims.items()}
        client = claims.get("client_id", claims.get("azp"))  # RFC 9068 section 2.2; OIDC Core 2
        return Principal(
            options.prefix + name,
            frozenset(scope for path in options.scopes for scope in _scopes(_claim(claims, path))),
            {name: _text(value) for name, value in told.items() if value is not None},
            client if isinstance(client, str) else "",
            "jwt",
            sha256(text.encode()).hexdigest()[:16],
        )

    def _check_header(self, header: Mapping[str, Any]) -> str:
        algorithm = header.get("alg")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms:
            raise JwtError("the token is signed in a way that is not taken from its issuer")
        if "crit" in header:
            # RFC 7515 section 4.1.11: what it names must be understood, and none is here.
            raise JwtError("the token has critical extensions, and none are known here")
        if self._types and _type(header.get("typ")) not in self._types:
            raise JwtError("the token is of a type that is not taken from its issuer")
        return usual_name(algorithm)

    def _check_claims(self, claims: Mapping[str, Any], now_s: float) -> float:
        audience = claims.get("aud")
        audiences = [audience] if isinstance(audience, str) else audience
        if not isinstance(audiences, list) or not any(
            isinstance(one, str) and one in self._audiences for one in audiences
        ):
            raise JwtError("the token is for somebody else")
        leeway_s = self.options.leeway_s
        expires_at_s = _instant(claims, "exp")
        if expires_at_s is None:
            raise JwtError("the token has no exp, so it would never expire")
        if now_s >= expires_at_s + leeway_s:
            raise JwtError("the token has expired")
        begins_at_s = _instant(claims, "nbf")
        if begins_at_s is not None and now_s < begins_at_s - leeway_s:
            raise JwtError("the token is not good yet")
        return expires_at_s + leeway_s


class JwtAuthenticator:
    """Knows principals by the tokens of issuers that are believed."""

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
        # A signature costs more to check than all else about a call. Tokens are secrets: they stay
        # in this process.
        self._known = RecentValues[str, Principal]()

    def __repr__(self) -> str:
        return f"<JwtAuthenticator, {len(self._issuers)} issuers, {len(self._known)} tokens>"

    def recall(self, call: Call) -> Principal | MustAsk | None:
        """Who showed a token, if that is known; see `Authenticator.recall`.

        What has not the look of a JWT is left to others.
        """
        text = bearer(call.headers)
        if text is None:
            return None
        known = self._known.get(text)
        if known is not None and known[0] > self._clock():
            return known[1]
        return None if text.count(".") != 2 else MUST_ASK

    async def authenticate(self, call: Call) -> Principal | None:
        """Who showed a token; see `Authenticator.authenticate`."""
        found = self.recall(call)
        if found is not MUST_ASK:
            return found
        text = bearer(call.headers) or ""
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
            raise JwtError("the issuer of the token is not known here")
        until_s = await issuer.verify(jwt, self._clock())
        principal = issuer.principal(jwt, text)
        self._known.put(text, principal, min(until_s, self._clock() + self._remember_s))
        return principal


def _bytes(part: str) -> bytes:
    """RFC 7515 section 2: base64url, without padding, and each text in one spelling only."""
    try:
        decoded = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except Base64Error:
        raise JwtError("the token is malformed") from None
    if urlsafe_b64encode(decoded).rstrip(b"=").decode() != part:
        raise JwtError("the token is malformed")
    return decoded


def _object(document: bytes) -> Mapping[str, Any]:
    """A JSON object in which no member is there twice (RFC 7519 section 4)."""
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
    raise ValueError  # RFC 8259 section 6: NaN and Infinity are none


def _type(text: object) -> str:
    """A media type as it is compared (RFC 7515 section 4.1.9)."""
    return text.lower().removeprefix("application/") if isinstance(text, str) else ""


def _instant(claims: Mapping[str, Any], name: str) -> float | None:
    """A NumericDate (RFC 7519 section 2), or None if there is none."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise JwtError(f"the {name} of the token is no number of seconds")
    return float(value)


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _claim(claims: Mapping[str, Any], path: str) -> Any:
    """The claim of this name, or what a path with dots leads to; None if there is nothing."""
    if path in claims:
        return claims[path]  # names with dots are usual: https://example.com/roles
    found: Any = claims
    for name in path.split("."):
        found = found.get(name) if isinstance(found, dict) else None
    return found


def _scopes(value: Any) -> list[str]:
    """Scopes from a text with spaces (RFC 8693 section 4.2) or a list; what is none grants none."""
    found = value.split(" ") if isinstance(value, str) else value
    if not isinstance(found, list):
        return []
    return [scope for scope in found if isinstance(scope, str) and can_be_granted(scope)]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
