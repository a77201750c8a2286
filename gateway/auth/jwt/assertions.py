"""Signed identity assertions for back ends: short-lived JWTs that name the caller (RFC 7519).

Plain metadata can only be trusted as far as the network is. An assertion can be verified: only the
gateway holds the private key, and the public key is published as a JWK set (RFC 7517).
"""

import time
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from gateway.auth.authenticator import AuthError, Principal
from gateway.auth.cache import RecentValues
from gateway.config.auth import AssertionOptions
from gateway.files import read_file

_LEAST_RSA_BITS = 2048
# The members that identify a key of each type (RFC 7638 section 3.2).
_THUMBPRINT = {"OKP": ("crv", "kty", "x"), "EC": ("crv", "kty", "x", "y"), "RSA": ("e", "kty", "n")}


class Assertions:
    """Signs assertions, and reuses each while it is fresh."""

    def __init__(self, options: AssertionOptions, clock: Callable[[], float] = time.time) -> None:
        """Reads the private key.

        Raises:
            AuthError: the key cannot be read or is of an unsupported type.
        """
        self._options = options
        self._clock = clock
        self._key, self._algorithm, public = _read_key(options.key)
        self._headers = {"kid": _thumbprint(public)}
        self._public = {**public, **self._headers, "use": "sig", "alg": self._algorithm}
        self._made = RecentValues[object, str]()

    @property
    def jwk_set(self) -> Mapping[str, object]:
        """The public key as a JWK set, for back ends that verify assertions."""
        return {"keys": [self._public]}

    def __call__(self, principal: Principal, service: str) -> str:
        """Returns an assertion that identifies `principal` to `service`."""
        audience = self._options.audience or service
        # Signing costs more than the rest of a call, so an assertion is reused for half its life.
        key = (audience, principal.name, principal.scopes, principal.client, principal.credential,
               *sorted(principal.claims.items()))  # fmt: skip
        now_s = self._clock()
        made = self._made.get(key)
        if made is not None and made[0] > now_s:
            return made[1]
        text = self._sign(principal, audience, int(now_s))
        self._made.put(key, text, now_s + self._options.ttl_s / 2)
        return text

    def _sign(self, principal: Principal, audience: str, now_s: int) -> str:
        claims: dict[str, object] = {
            "iss": self._options.issuer,
            "sub": principal.name,
            "aud": audience,
            "iat": now_s,
            "exp": now_s + int(self._options.ttl_s),
            "scope": " ".join(sorted(principal.scopes)),
            # Nested under one name, so that no claim can replace one of the above.
            "claims": dict(principal.claims),
        }
        if principal.client:
            claims["client_id"] = principal.client
        return jwt.encode(claims, self._key, self._algorithm, self._headers)


SigningKey = Ed25519PrivateKey | EllipticCurvePrivateKey | RSAPrivateKey


def _read_key(path: Path) -> tuple[SigningKey, str, dict[str, Any]]:
    """Returns the key, its algorithm (RFC 7518 section 3.1, RFC 8037) and its public JWK."""
    try:
        key = load_pem_private_key(read_file(path), None)
    except OSError as error:
        raise AuthError(
            f"auth.identity.jwt.key: {path}: cannot be read: {error.strerror}"
        ) from None
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise AuthError(
            f"auth.identity.jwt.key: {path}: is not a private key in PEM without a password"
        ) from None
    if isinstance(key, Ed25519PrivateKey):
        return key, "EdDSA", OKPAlgorithm.to_jwk(key.public_key(), as_dict=True)
    if isinstance(key, EllipticCurvePrivateKey) and key.curve.name == "secp256r1":
        return key, "ES256", ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    if isinstance(key, RSAPrivateKey) and key.key_size >= _LEAST_RSA_BITS:
        return key, "RS256", RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    raise AuthError(
        f"auth.identity.jwt.key: {path}: expected Ed25519, EC P-256, or RSA of 2048 bits or more"
    )


def _thumbprint(jwk: Mapping[str, Any]) -> str:
    text = ",".join(f'"{name}":"{jwk[name]}"' for name in _THUMBPRINT[jwk["kty"]])
    return sha256(f"{{{text}}}".encode()).hexdigest()[:32]
