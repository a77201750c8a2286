"""The keys of issuers: JWK sets (RFC 7517), how they are parsed, and how they are refreshed.

The algorithms of a key follow from the key itself, before any token is read: the algorithm that a
token names only selects among the keys made for it. So an RSA key is never used as an HMAC secret,
and there is no key for "none" (RFC 8725 sections 2.1 and 3.1).
"""

import asyncio
import json
import logging
import random
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
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

logger = logging.getLogger("gateway")

_MOST_KEYS = 100
# Without a `kid` each matching key is tried; a client must not be able to cause more checks.
_MOST_TRIED = 8
# Seconds before a retry while there are no keys yet: until then all tokens are rejected.
_FIRST_RETRY_S = 2.0
# Nodes that started together do not ask an issuer at the same time.
_JITTER = 0.2
_LEAST_RSA_BITS = 2048
_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
# RFC 7518 section 3.4: each curve is used with one hash.
_EC = {"secp256r1": ("ES256",), "secp384r1": ("ES384",), "secp521r1": ("ES512",)}
# RFC 7518 section 3.2: a secret is at least as long as the hash.
_HMAC = {"HS256": 32, "HS384": 48, "HS512": 64}
# RFC 9864 section 2.2 gives EdDSA with this curve its own name; other curves are unsupported.
_ALIASES = {"Ed25519": "EdDSA"}
_SIGNATURES: Mapping[str, Algorithm] = get_default_algorithms()
# The members of a private key (RFC 7518 section 6); verification needs none of them.
_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})


class KeySetError(Exception):
    """A document holds no usable keys; the message says why, and contains no secret."""


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key that verifies signatures of certain algorithms, and no others."""

    algorithms: frozenset[str]
    kid: str | None = None
    _key: Any = field(default=None, repr=False)

    def verify(self, algorithm: str, signed: bytes, signature: bytes) -> bool:
        """True if `signature` was made by this key's owner with this algorithm."""
        return algorithm in self.algorithms and bool(
            _SIGNATURES[algorithm].verify(signed, self._key, signature)
        )


def usual_name(algorithm: str) -> str:
    """The name that an algorithm has in `VerificationKey.algorithms`."""
    return _ALIASES.get(algorithm, algorithm)


def read_keys(document: bytes, *, allow_secrets: bool) -> list[VerificationKey]:
    """Parses the usable keys of a JWK set, or the one key of a PEM text.

    Skips unusable keys, as RFC 7517 section 5 requires. Secrets (`oct`) are accepted only with
    `allow_secrets`: a secret that was published is not one.

    Raises:
        KeySetError: the document is neither, or has no usable key.
    """
    if document.lstrip().startswith(b"-----BEGIN"):
        return [_from_pem(document)]
    try:
        jwks = json.loads(document)["keys"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise KeySetError("is neither a JWK set nor a public key in PEM") from None
    if not isinstance(jwks, list):
        raise KeySetError("is not a JWK set: expected a list of keys")
    found = [_from_jwk(jwk, allow_secrets=allow_secrets) for jwk in jwks[:_MOST_KEYS]]
    keys = [key for key in found if key is not None]
    if not keys:
        raise KeySetError("has no key that can verify signatures")
    return keys


def _unsupported() -> KeySetError:
    return KeySetError(
        "is not a supported key: expected RSA of 2048 bits or more, "
        "EC P-256, P-384 or P-521, or Ed25519"
    )


def _from_pem(document: bytes) -> VerificationKey:
    try:
        key = load_pem_public_key(document)
    except ValueError:
        raise KeySetError("is not a public key in PEM") from None
    except UnsupportedAlgorithm:  # a curve that the library does not know
        raise _unsupported() from None
    algorithms = _algorithms_of(key)
    if not algorithms:
        raise _unsupported()
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
    """True if the key may verify signatures (RFC 7517 sections 4.2 and 4.3)."""
    operations = jwk.get("key_ops", ["verify"])
    return jwk.get("use", "sig") == "sig" and isinstance(operations, list) and (
        "verify" in operations or "sign" in operations
    )  # fmt: skip


def _algorithms_of(key: object) -> frozenset[str]:
    """The algorithms that a key supports, by its type."""
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
    """An issuer's keys are not available now."""


@dataclass(frozen=True, slots=True)
class Freshness:
    """The age limits of keys, in seconds."""

    refresh_s: float
    """The age at which keys are reloaded, a fifth more or less; the old ones stay in use."""
    retry_s: float
    """The least time between two loads."""
    stale_s: float
    """The age at which keys are no longer used."""


class IssuerKeys:
    """One issuer's keys: loaded on first use, when they are old, and for an unknown `kid`.

    If a load fails, the old keys stay in use, up to a limit. However many callers ask, for
    whatever `kid`, there is one load at a time, and one in `retry_s`.
    """

    def __init__(
        self,
        load: Callable[[], Awaitable[Sequence[VerificationKey]]],
        freshness: Freshness,
        *,
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`load` raises `KeySetError` if it fails; `say` receives the reason."""
        self._load = load
        self._freshness = freshness
        self._refresh_s = freshness.refresh_s
        self._first_retry_s = min(_FIRST_RETRY_S, freshness.retry_s)
        self._say = say
        self._clock = clock
        self._keys: Sequence[VerificationKey] = ()
        self._loaded_at_s = self._tried_at_s = float("-inf")
        self._loading: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"<IssuerKeys, {len(self._keys)} keys>"

    async def find(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys that may have signed a token with this header.

        Raises:
            KeysUnavailableError: no keys could be loaded.
        """
        age_s = self._clock() - self._loaded_at_s
        if age_s > self._freshness.stale_s:
            await self._reload()
            if self._clock() - self._loaded_at_s > self._freshness.stale_s:
                raise KeysUnavailableError
        elif age_s > self._refresh_s:
            self._start()  # in the background: this call does not wait for it
        found = self._fitting(algorithm, kid)
        if kid is not None and not self._knows(kid):
            await self._reload()
            found = self._fitting(algorithm, kid)
        return found

    def begin(self) -> None:
        """Starts to load the keys before the first call."""
        self._start()

    async def close(self) -> None:
        """Stops loading."""
        if self._loading is not None:
            self._loading.cancel()
            await asyncio.wait([self._loading])

    def _fitting(self, algorithm: str, kid: str | None) -> Sequence[VerificationKey]:
        """The keys for a `kid`, or all for the algorithm without one (RFC 7515 section 4.1.4)."""
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
            # Shielded: a caller that is cancelled must not cancel the load for the others.
            await asyncio.shield(loading)

    def _start(self) -> asyncio.Future[None] | None:
        """The load in progress, a new one, or None within `retry_s` of the last."""
        retry_s = self._freshness.retry_s if self._keys else self._first_retry_s
        if self._loading is None and self._clock() - self._tried_at_s >= retry_s:
            self._tried_at_s = self._clock()
            self._loading = asyncio.ensure_future(self._try())
            self._loading.add_done_callback(self._done)
        return self._loading

    def _done(self, loading: asyncio.Future[None]) -> None:
        self._loading = None
        if not loading.cancelled():
            loading.exception()  # marks it as retrieved: all callers may have been cancelled

    async def _try(self) -> None:
        try:
            self._keys = await self._load()
        except KeySetError as error:
            self._say(str(error))
        except Exception:
            # As for other failures, the keys that were loaded before stay in use.
            logger.exception("the keys of an issuer could not be loaded")
        else:
            self._loaded_at_s = self._clock()
            jitter = random.uniform(1 - _JITTER, 1 + _JITTER)  # noqa: S311 - no secret
            self._refresh_s = self._freshness.refresh_s * jitter
