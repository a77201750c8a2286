"""Issuers of JWTs: keys of every kind, tokens good and bad, and a server that publishes keys."""

import json
import time
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"
SECRET = b"a secret of sixty-four bytes, which is enough for each of them.."


@lru_cache
def private_key(kind: str, number: int = 0) -> Any:
    """A key of a kind: RSA, P-256, P-384, P-521 or Ed25519; the same for the same number."""
    match kind:
        case "RSA":
            return rsa.generate_private_key(65537, 2048)
        case "P-256":
            return ec.generate_private_key(ec.SECP256R1())
        case "P-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "P-521":
            return ec.generate_private_key(ec.SECP521R1())
        case _:
            return ed25519.Ed25519PrivateKey.generate()


KIND = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "PS256": "RSA",
    "PS384": "RSA",
    "PS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
    "EdDSA": "Ed25519",
}
"""The kind of key of each algorithm that has a public one."""


def public_jwk(key: Any, **members: Any) -> dict[str, Any]:
    """The public half of a key as a JWK."""
    public = key.public_key()
    writer: Any = {"RSA": RSAAlgorithm, "EC": ECAlgorithm, "OKP": OKPAlgorithm}[_type(key)]
    return {**writer.to_jwk(public, as_dict=True), **members}


def public_pem(key: Any) -> bytes:
    """The public half of a key as PEM."""
    public: bytes = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return public


def secret_jwk(secret: bytes = SECRET, **members: Any) -> dict[str, Any]:
    """A shared secret as a JWK."""
    return {"kty": "oct", "k": base64url(secret), **members}


def jwk_set(*jwks: Mapping[str, Any]) -> bytes:
    """A JWK set."""
    return json.dumps({"keys": jwks}).encode()


def claims(now_s: float | None = None, **changed: Any) -> dict[str, Any]:
    """The claims of a token that is good; None leaves one out."""
    now_s = time.time() if now_s is None else now_s
    usual = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "exp": now_s + 60}
    return {name: value for name, value in (usual | changed).items() if value is not None}


def token(
    key: Any = None,
    algorithm: str = "ES256",
    *,
    header: Mapping[str, Any] | None = None,
    **changed: Any,
) -> str:
    """A signed token, by a key of the algorithm's kind unless one is given."""
    if key is None:
        key = SECRET if algorithm.startswith("HS") else private_key(KIND[algorithm])
    return jwt.encode(claims(**changed), key, algorithm, dict(header or {}))


def unsigned(header: Mapping[str, Any], body: Mapping[str, Any], signature: bytes = b"") -> str:
    """A token with any header, any claims and any signature."""
    return ".".join(
        base64url(part)
        for part in (json.dumps(header).encode(), json.dumps(body).encode(), signature)
    )


def base64url(data: bytes) -> str:
    """RFC 7515 section 2."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _type(key: Any) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "RSA"
    return "EC" if isinstance(key, ec.EllipticCurvePrivateKey) else "OKP"


class IssuerServer:
    """An issuer that publishes its keys over HTTP, and counts who asks."""

    def __init__(self) -> None:
        self.url = ""
        self.documents: dict[str, bytes] = {}
        self.asked: list[str] = []
        self.is_down = False

    def publish(self, *jwks: Mapping[str, Any]) -> None:
        """Publishes these keys, and where they are by OIDC."""
        self.documents["/keys"] = jwk_set(*jwks)
        discovery = {"issuer": self.url, "jwks_uri": f"{self.url}/keys"}
        self.documents["/.well-known/openid-configuration"] = json.dumps(discovery).encode()

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """What is there, or 503 while it is down."""
        self.asked.append(request.path)
        if self.is_down:
            return web.Response(status=503)
        document = self.documents.get(request.path)
        if document is None:
            return web.Response(status=404)
        return web.Response(body=document, content_type="application/json")


@asynccontextmanager
async def issuer_server() -> AsyncIterator[IssuerServer]:
    """An issuer on a free port of 127.0.0.1."""
    issuer = IssuerServer()
    runner = web.ServerRunner(web.Server(issuer.answer))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    issuer.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield issuer
    finally:
        await runner.cleanup()
