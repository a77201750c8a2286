"""The keys that others sign with: JWK sets (RFC 7517), how they are read, and how they are kept.

What a key can be used for is fixed here, by what the key is and before any token is seen: a token
that names an algorithm only picks among the keys made for it. So no RSA key is ever taken for the
secret of an HMAC, and there is no key for "none" (RFC 8725 sections 2.1 and 3.1).
"""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from jwt.algorithms import (
    Algorithm,
    ECAlgorithm,
    HMACAlgorithm,
    OKPAlgorithm,
    RSAAlgorithm,
    get_default_algorithms,
)
from jwt.exceptions import InvalidKeyError

_MOST_KEYS = 100
# Without a `kid` each key that fits is tried: whoever shows such a token must not make that many.
_MOST_TRIED = 8
# How long to wait for another try where there are no keys yet: nobody can be let in until then.
_FIRST_RETRY_S = 2.0
_LEAST_RSA_BITS = 2048
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# RFC 7518 section 3.4: each curve has its one hash.
_EC = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
# RFC 7518 section 3.2: a secret is at least as long as the hash.
_HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}
# RFC 9864 section 2.2 has a name of its own for EdDSA with this curve, which is the only one here.
_SAME = {"Ed25519": "EdDSA"}
_SIGNATURES: Mapping[str, Algorithm] = get_default_algorithms()
# The members of a private key (RFC 7518 section 6): what checks needs none of them.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class KeySetError(Exception):
    """What should be keys is none; the text says why, and holds no secret."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that checks signatures made in certain ways, and no others."""

    algorithms: frozenset[str]
    kid: str | None = None
    _key: Any = field(default=None, repr=False)

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """Whether `signature` is this key's, under one of its algorithms."""
        return algorithm in self.algorithms and bool(
            _SIGNATURES[algorithm].verify(signed, self._key, signature)
        )


def usual_name(algorithm: str) -> str:
    """The name that an algorithm has in `VerificationKey.algorithms`."""
    return _SAME.get(algorithm, algorithm)


def read_keys(document: bytes, *, allow_secrets: bool) -> list[VerificationKey]:
    """The keys of a JWK set that can be used, or the one key of a PEM text.

    As RFC 7517 section 5 asks, what cannot be used is passed over. Secrets (`oct`) are keys only
    where they are allowed: one that was published is none.

    Raises:
        KeySetError: it is neither, or holds nothing that can be used.
    """
    if document.lstrip().startswith(b"-----BEGIN"):
        return [_from_pem(document)]
    try:
        jwks = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeySetError("is neither a JWK set nor a public key in PEM") from None
    if not isinstance(jwks, list):
        raise KeySetError("is no JWK set: expected a list of keys")
    found = [_from_jwk(jwk, allow_secrets=allow_secrets) for jwk in jwks[:_MOST_KEYS]]
    keys = [key for key in found if key is not None]
    if not keys:
        raise KeySetError("holds no key that can check signatures")
    return keys


def _from_pem(document: bytes) -> VerificationKey:
    try:
        key = load_pem_public_key(document)
    except ValueError:
        raise KeySetError("is no public key in PEM") from None
    algorithms = _algorithms_of(key)
    if not algorithms:
        raise KeySetError(
            "is no key to check with: expected RSA of 2048 bits or more, "
            "EC P-256, P-384 or P-521, or Ed25519"
        )
    return VerificationKey(algorithms, None, key)


def _from_jwk(jwk: object, *, allow_secrets: bool) -> VerificationKey | None:
    if not isinstance(jwk, dict) or not _is_for_signatures(jwk):
        return None
    public = {name: value for name, value in jwk.items() if name not in _PRIVATE}
    try:
        match jwk.get("kty"):
            case "RSA":
                key: Any = RSAAlgorithm.from_jwk(public)
            case "EC":
                key = ECAlgorithm.from_jwk(public)
            case "OKP":
                key = OKPAlgorithm.from_jwk(public)
            case "oct" if allow_secrets:
                key = HMACAlgorithm.from_jwk(public)
            case _:
                return None
    except (InvalidKeyError, ValueError, TypeError, KeyError, AttributeError):
        return None
    algorithms, kid, alg = _algorithms_of(key), jwk.get("kid"), jwk.get("alg")
    if alg is not None:
        algorithms &= {usual_name(alg)} if isinstance(alg, str) else frozenset()
    if not algorithms:
        return None
    return VerificationKey(algorithms, kid if isinstance(kid, str) else None, key)


def _is_for_signatures(jwk: Mapping[str, Any]) -> bool:
    """RFC 7517 sections 4.2 and 4.3."""
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and (
        "verify" in operations or "sign" in operations
    )  # fmt: skip


def _algorithms_of(key: object) -> frozenset[str]:
    """What a key can be used for, by what it is."""
    match key:
        case RSAPublicKey():
            return frozenset(_RSA if key.key_size >= _LEAST_RSA_BITS else ())
        case EllipticCurvePublicKey():
            return frozenset(_EC.get(key.curve.name, ()))
        case Ed25519PublicKey():
            return frozenset({"EdDSA"})
        case bytes():
            return frozenset(name for name, least in _HMAC.items() if len(key) >= least)
        case _:
            return frozenset()


class KeysUnavailableError(Exception):
    """An issuer's keys cannot be had now."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """How old keys may get; seconds."""

    refresh_s: float
    """Then they are loaded again, while the old ones serve."""
    retry_s: float
    """So long, at least, between two loads."""
    stale_s: float
    """Then they are believed no more."""


class IssuerKeys:
    """One issuer's keys: loaded when first needed, again when old, and for a key nobody knows.

    While they cannot be loaded the old ones serve, up to a limit. However many ask, and whatever
    they make up, there is one load at a time, and one in `retry_s`.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Sequence[VerificationKey]]],
        freshness: Freshness,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` raises `KeySetError` if it cannot; `say` is told why."""
        self._load = load
        self._freshness = freshness
        self._first_retry_s = min(_FIRST_RETRY_S, freshness.retry_s)
        self._say = say
        self._clock = clock
        self._keys: Sequence[VerificationKey] = ()
        self._loaded_at_s = self._tried_at_s = float("-inf")
        self._loading: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<IssuerKeys, {len(self._keys)} keys>"

    async def find(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that a token of this header may be signed with.

        Raises:
            KeysUnavailableError: nobody can tell.
        """
        age_s = self._clock() - self._loaded_at_s
        if age_s > self._freshness.stale_s:
            await self._reload()
            if self._clock() - self._loaded_at_s > self._freshness.stale_s:
                raise KeysUnavailableError
        elif age_s > self._freshness.refresh_s:
            self._start()  # and nobody waits for it
        found = self._fitting(algorithm, kid)
        if kid is not None and not self._knows(kid):
            await self._reload()
            found = self._fitting(algorithm, kid)
        return found

    def begin(self) -> None:
        """Starts to load the keys before anybody asks for them."""
        self._start()

    async def close(self) -> None:
        """Loads no more."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])

    def _fitting(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """RFC 7515 section 4.1.4: `kid` is a hint; where it is missing, all that fit do."""
        fitting = [
            key
            for key in self._keys
            if algorithm in key.algorithms and (kid is None or key.kid is None or key.kid == kid)
        ]
        return fitting[:_MOST_TRIED]

    def _knows(self, kid: str) -> bool:
        return any(key.kid == kid for key in self._keys)

    async def _reload(self) -> None:
        loading = self._start()
        if loading is not None:
            # One of those who wait may leave without ending it for the others.
            await asyncio.shield(loading)

    def _start(self) -> asyncio.Future[None] | None:
        """The load under way, a new one, or None if the last was too short a time ago."""
        retry_s = self._freshness.retry_s if self._keys else self._first_retry_s
        if self._loading is None and self._clock() - self._tried_at_s >= retry_s:
            self._tried_at_s = self._clock()
            self._loading = asyncio.ensure_future(self._try())
            self._loading.add_done_callback(self._done)
        return self._loading

    def _done(self, loading: asyncio.Future[None]) -> None:
        self._loading = None
        if not loading.cancelled():
            loading.exception()  # whoever waited for it may have gone

    async def _try(self) -> None:
        try:
            self._keys = await self._load()
        except KeySetError as error:
            self._say(str(error))
        else:
            self._loaded_at_s = self._clock()
