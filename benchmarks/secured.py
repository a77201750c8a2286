"""The credentials and settings with which gateways have all guards, compress, or serve TLS."""

import json
import ssl
import time
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import jwt
import trustme
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm

ISSUER, AUDIENCE, ORIGIN = "https://issuer.example.com", "bench", "https://shop.example.com"
_MOST = 100_000_000  # a rate limit that is counted and never reached
_TOKENS = 1_000
_DAY_S = 86_400
_AUTHORITY = "bench-ca.pem"
_KIND = "type.googleapis.com/envoy.extensions"


@cache
def _key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@cache
def token() -> str:
    """A JWT that the gateways under test accept."""
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": AUDIENCE, "sub": "ada", "iat": now, "exp": now + _DAY_S}
    return jwt.encode(claims, _key(), "ES256", {"kid": "1"})


def key_set() -> str:
    """The JWK set of the issuer, as JSON."""
    public = ECAlgorithm.to_jwk(_key().public_key(), as_dict=True)
    return json.dumps({"keys": [public | {"kid": "1", "alg": "ES256", "use": "sig"}]})


def all_guards(folder: Path) -> Mapping[str, Any]:
    """This gateway's settings; the keys are written to the folder."""
    keys = folder / "issuer.json"
    keys.write_text(key_set())
    issuer = {"issuer": ISSUER, "audiences": [AUDIENCE], "keys_file": str(keys)}
    limit = {"limit": _MOST, "by": "principal"}
    # For as long as it can: Envoy does so until they expire. Under callgrind, where a request takes
    # many times as long, requests would else be charged for more than one verification.
    jwt_options = {"issuers": [issuer], "remember_s": 60}
    return {
        "auth": {"store": "memory:", "anonymous": False, "jwt": jwt_options},
        "policies": [{"selector": "*", "rate_limits": [limit]}],
        "rate_limits": {"store": "memory:"},
        "cors": {"origins": [ORIGIN]},
    }


def guard_envoy(settings: dict[str, Any], log: Path) -> None:
    """Gives Envoy the same guards: an access log, CORS, `jwt_authn`, and a local rate limit.

    Like this gateway, it remembers the tokens that it has verified.
    """
    manager = _chain(settings)["filters"][0]["typed_config"]
    manager["access_log"] = [
        _extension(
            "envoy.access_loggers.file", "access_loggers.file.v3.FileAccessLog", path=f"{log}"
        )
    ]
    host = manager["route_config"]["virtual_hosts"][0]
    policy = {"allow_origin_string_match": [{"exact": ORIGIN}]}
    host["typed_per_filter_config"] = {
        "envoy.filters.http.cors": {"@type": f"{_KIND}.filters.http.cors.v3.CorsPolicy"} | policy
    }
    share = {"default_value": {"numerator": 100, "denominator": "HUNDRED"}}
    bucket = {"max_tokens": _MOST, "tokens_per_fill": _MOST, "fill_interval": "1s"}
    manager["http_filters"][:0] = [
        _extension("envoy.filters.http.cors", "filters.http.cors.v3.Cors"),
        _jwt_authn(jwt_cache_config={"jwt_cache_size": _TOKENS}),
        _extension(
            "envoy.filters.http.local_ratelimit",
            "filters.http.local_ratelimit.v3.LocalRateLimit",
            stat_prefix="limit",
            token_bucket=bucket,
            filter_enabled=share,
            filter_enforced=share,
        ),
    ]


def require_token(settings: dict[str, Any]) -> None:
    """Makes Envoy refuse requests without a token."""
    manager = _chain(settings)["filters"][0]["typed_config"]
    manager["http_filters"].insert(0, _jwt_authn())


def pack_in_envoy(settings: dict[str, Any]) -> None:
    """Makes Envoy compress, at its fastest level."""
    manager = _chain(settings)["filters"][0]["typed_config"]
    library = _extension(
        "gzip", "compression.gzip.compressor.v3.Gzip", compression_level="BEST_SPEED"
    )
    compressor = _extension(
        "envoy.filters.http.compressor",
        "filters.http.compressor.v3.Compressor",
        compressor_library=library,
    )
    manager["http_filters"].insert(0, compressor)


def certificate(folder: Path) -> dict[str, str]:
    """This gateway's setting for a new certificate, whose files are written to the folder."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / _AUTHORITY)
    issued = authority.issue_cert("127.0.0.1")
    files = {"cert_file": folder / "bench.pem", "key_file": folder / "bench.key"}
    issued.cert_chain_pems[0].write_to_path(files["cert_file"])
    key = load_pem_private_key(issued.private_key_pem.bytes(), None)
    # Armeria reads no other format.
    files["key_file"].write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return {name: str(file) for name, file in files.items()}


def trusting(folder: Path) -> ssl.SSLContext:
    """A client's context that trusts the certificate of this folder."""
    return ssl.create_default_context(cafile=str(folder / _AUTHORITY))


def encrypt_envoy(settings: dict[str, Any], files: Mapping[str, str]) -> None:
    """Makes Envoy serve TLS."""
    pair = {
        "certificate_chain": {"filename": files["cert_file"]},
        "private_key": {"filename": files["key_file"]},
    }
    _chain(settings)["transport_socket"] = _extension(
        "envoy.transport_sockets.tls",
        "transport_sockets.tls.v3.DownstreamTlsContext",
        common_tls_context={"tls_certificates": [pair]},
    )


def _chain(settings: dict[str, Any]) -> dict[str, Any]:
    (listener,) = settings["static_resources"]["listeners"]
    chain: dict[str, Any] = listener["filter_chains"][0]
    return chain


def _jwt_authn(**more: object) -> dict[str, Any]:
    keys = {"inline_string": key_set()}
    provider = {"issuer": ISSUER, "audiences": [AUDIENCE], "local_jwks": keys} | more
    return _extension(
        "envoy.filters.http.jwt_authn",
        "filters.http.jwt_authn.v3.JwtAuthentication",
        providers={"bench": provider},
        rules=[{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    )


def _extension(name: str, kind: str, **fields: object) -> dict[str, Any]:
    return {"name": name, "typed_config": {"@type": f"{_KIND}.{kind}", **fields}}
