"""What back ends that trust nobody can check."""

import base64
import os
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from gateway.auth.authenticator import AuthError
from gateway.auth.jwt.assertions import Assertions
from gateway.call import Principal
from gateway.config.auth import AssertionOptions
from tests.support.recording import Clock

ADA = Principal("users/ada", frozenset({"write", "read"}), {"tenant": "t1"}, "demo", "token", "c1")


def written(key: Any, folder: Path, encryption: KeySerializationEncryption | None = None) -> Path:
    path = folder / "key.pem"
    path.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption())
    )
    return path


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return written(ed25519.Ed25519PrivateKey.generate(), tmp_path)


def checked(assertions: Assertions, text: str, audience: str = "library.v1.Library") -> Any:
    """What a back end that knows the JWK set makes of a statement."""
    keys = jwt.PyJWKSet.from_dict(dict(assertions.jwk_set))
    header = jwt.get_unverified_header(text)
    signer = keys[header["kid"]]
    return jwt.decode(
        text, signer, [header["alg"]], audience=audience, options={"verify_exp": False,
                                                                   "verify_iat": False}
    )  # fmt: skip


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        pytest.param(ed25519.Ed25519PrivateKey.generate, "EdDSA", id="Ed25519"),
        pytest.param(lambda: ec.generate_private_key(ec.SECP256R1()), "ES256", id="EC P-256"),
        pytest.param(lambda: rsa.generate_private_key(65537, 2048), "RS256", id="RSA"),
    ],
)
def test_a_statement_can_be_checked_by_the_published_key(
    make: Any, algorithm: str, tmp_path: Path
) -> None:
    clock = Clock(1000.7)
    assertions = Assertions(AssertionOptions(key=written(make(), tmp_path), ttl_s=60), clock)
    text = assertions(ADA, "library.v1.Library")
    assert jwt.get_unverified_header(text)["alg"] == algorithm
    assert checked(assertions, text) == {
        "iss": "gateway",
        "sub": "users/ada",
        "aud": "library.v1.Library",
        "iat": 1000,
        "exp": 1060,
        "scope": "read write",
        "client_id": "demo",
        "claims": {"tenant": "t1"},
    }


def test_only_the_public_half_is_published(key: Path) -> None:
    jwk_set: Any = Assertions(AssertionOptions(key=key)).jwk_set
    assert set(jwk_set["keys"][0]) == {"kty", "crv", "x", "kid", "use", "alg"}


def test_a_statement_for_one_service_is_none_for_another(key: Path) -> None:
    assertions = Assertions(AssertionOptions(key=key))
    text = assertions(ADA, "library.v1.Library")
    with pytest.raises(jwt.InvalidAudienceError):
        checked(assertions, text, "echo.v1.Echo")


def test_a_claim_cannot_pass_for_the_gateways_own_word(key: Path) -> None:
    liar = Principal("users/eve", claims={"sub": "users/ada", "aud": "everyone"})
    assertions = Assertions(AssertionOptions(key=key))
    statement = checked(assertions, assertions(liar, "library.v1.Library"))
    assert (statement["sub"], statement["claims"]["sub"]) == ("users/eve", "users/ada")


def test_it_is_signed_once_while_more_than_half_of_its_life_is_left(key: Path) -> None:
    clock = Clock()
    assertions = Assertions(AssertionOptions(key=key, ttl_s=60), clock)
    first = assertions(ADA, "s")
    clock.now_s += 29
    assert assertions(ADA, "s") == first
    clock.now_s += 2
    assert assertions(ADA, "s") != first


@pytest.mark.parametrize(
    "other",
    [
        Principal("users/bob", ADA.scopes, ADA.claims, "demo", "token", "c1"),
        Principal("users/ada", frozenset({"read"}), ADA.claims, "demo", "token", "c1"),
        Principal("users/ada", ADA.scopes, {"tenant": "t2"}, "demo", "token", "c1"),
        Principal("users/ada", ADA.scopes, ADA.claims, "other", "token", "c1"),
    ],
    ids=["name", "scopes", "claims", "client"],
)
def test_nobody_gets_a_statement_made_for_another(key: Path, other: Principal) -> None:
    assertions = Assertions(AssertionOptions(key=key, audience="all"), Clock())
    assert assertions(ADA, "s") != assertions(other, "s")
    assert assertions(ADA, "s") == assertions(ADA, "another service, the same audience")


def test_a_key_that_cannot_be_used_keeps_the_gateway_from_starting(tmp_path: Path) -> None:
    small = rsa.generate_private_key(65537, 1024)
    locked = BestAvailableEncryption(b"password")
    text = tmp_path / "text.pem"
    text.write_text("no key")
    unknown_curve = tmp_path / "sm2.pem"
    der = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        Encoding.DER, PrivateFormat.PKCS8, NoEncryption()
    )
    # The identifier of the curve SM2 is as long as that of P-256.
    swapped = der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d"))
    text_of_key = base64.encodebytes(swapped).decode()
    unknown_curve.write_text(
        f"-----BEGIN PRIVATE KEY-----\n{text_of_key}-----END PRIVATE KEY-----\n"
    )
    (tmp_path / "small").mkdir()
    (tmp_path / "locked").mkdir()
    for path, why in {
        tmp_path / "none.pem": "cannot be read",
        text: "not a private key in PEM",
        written(small, tmp_path / "small"): "2048 bits",
        written(ed25519.Ed25519PrivateKey.generate(), tmp_path / "locked", locked): "without",
        written(ec.generate_private_key(ec.SECP384R1()), tmp_path): "EC P-256",
        unknown_curve: "not a private key",
    }.items():
        with pytest.raises(AuthError, match=why) as refused:
            Assertions(AssertionOptions(key=path))
        assert str(path) in str(refused.value)


def test_a_pipe_in_place_of_a_key_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "key.pem")
    with pytest.raises(AuthError, match="cannot be read: it is not a regular file"):
        Assertions(AssertionOptions(key=tmp_path / "key.pem"))
