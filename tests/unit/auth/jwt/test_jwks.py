"""Keys of issuers: what they can be used for, and how they are kept."""

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from gateway.auth.jwt.jwks import (
    Freshness,
    IssuerKeys,
    KeySetError,
    KeysUnavailableError,
    VerificationKey,
    read_keys,
)
from tests.support.jwts import KIND, jwk_set, private_key, public_jwk, public_pem, secret_jwk
from tests.support.polling import until

RSA_ALGORITHMS = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


@pytest.mark.parametrize(
    ("kind", "algorithms"),
    [
        ("RSA", RSA_ALGORITHMS),
        ("P-256", {"ES256"}),
        ("P-384", {"ES384"}),
        ("P-521", {"ES512"}),
        ("Ed25519", {"EdDSA"}),
    ],
)
def test_what_a_key_is_decides_what_it_is_for(kind: str, algorithms: set[str]) -> None:
    key = private_key(kind)
    [from_jwk] = read_keys(jwk_set(public_jwk(key, kid="a")), allow_secrets=True)
    [from_pem] = read_keys(public_pem(key), allow_secrets=True)
    assert from_jwk.algorithms == from_pem.algorithms == algorithms
    assert (from_jwk.kid, from_pem.kid) == ("a", None)


def test_alg_narrows_what_a_key_is_for_and_never_widens_it() -> None:
    key = private_key("RSA")
    [narrowed] = read_keys(jwk_set(public_jwk(key, alg="PS256")), allow_secrets=True)
    assert narrowed.algorithms == {"PS256"}
    for alg in ("HS256", "ES256", "none", 7):
        with pytest.raises(KeySetError, match="no key"):
            read_keys(jwk_set(public_jwk(key, alg=alg)), allow_secrets=True)


@pytest.mark.parametrize("alg", ["EdDSA", "Ed25519"])
def test_ed25519_is_one_algorithm_by_two_names(alg: str) -> None:
    key = private_key("Ed25519")
    [found] = read_keys(jwk_set(public_jwk(key, alg=alg)), allow_secrets=True)
    assert found.algorithms == {"EdDSA"}
    with pytest.raises(KeySetError, match="no key"):
        read_keys(jwk_set(public_jwk(private_key("RSA"), alg=alg)), allow_secrets=True)


@pytest.mark.parametrize(
    ("length", "algorithms"),
    [(31, None), (32, {"HS256"}), (48, {"HS256", "HS384"}), (64, {"HS256", "HS384", "HS512"})],
)
def test_a_secret_is_at_least_as_long_as_the_hash(length: int, algorithms: Any) -> None:
    document = jwk_set(secret_jwk(b"x" * length))
    if algorithms is None:
        with pytest.raises(KeySetError):
            read_keys(document, allow_secrets=True)
    else:
        assert read_keys(document, allow_secrets=True)[0].algorithms == algorithms


def test_a_secret_that_was_published_is_no_key() -> None:
    with pytest.raises(KeySetError, match="no key that can verify"):
        read_keys(jwk_set(secret_jwk()), allow_secrets=False)


def _pem(key: Any) -> bytes:
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))


def _of_unknown_curve() -> bytes:
    """A key of the curve SM2, whose identifier is as long as that of P-256."""
    der = (
        private_key("P-256")
        .public_key()
        .public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    )
    swapped = der.replace(bytes.fromhex("2a8648ce3d030107"), bytes.fromhex("2a811ccf5501822d"))
    text = base64.encodebytes(swapped)
    return b"-----BEGIN PUBLIC KEY-----\n" + text + b"-----END PUBLIC KEY-----\n"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        pytest.param(b"", "neither", id="nothing"),
        pytest.param(b"[]", "neither", id="a list"),
        pytest.param(b"[" * 100_000, "neither", id="nested deeply"),
        pytest.param(b'{"keys": {}}', "expected a list", id="keys that are no list"),
        pytest.param(b'{"keys": []}', "no key", id="no keys"),
        pytest.param(b'{"keys": [1, {}, {"kty": "X"}]}', "no key", id="what is no key"),
        pytest.param(b'{"keys": [{"kty": "RSA"}]}', "no key", id="RSA without numbers"),
        pytest.param(
            b'{"keys": [{"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}]}', "no key", id="EC"
        ),
        pytest.param(b'{"keys": [{"kty": "OKP", "crv": "X", "x": 1}]}', "no key", id="OKP"),
        pytest.param(b"-----BEGIN PUBLIC KEY-----\n", "not a public key", id="half a PEM"),
        pytest.param(_pem(private_key("P-256")), "not a public key", id="a private key"),
        pytest.param(
            public_pem(rsa.generate_private_key(65537, 1024)), "2048 bits", id="short RSA"
        ),
        pytest.param(
            public_pem(ec.generate_private_key(ec.SECP256K1())), "P-256", id="another curve"
        ),
        pytest.param(_of_unknown_curve(), "not a supported key", id="an unknown curve"),
        pytest.param(public_pem(dsa.generate_private_key(1024)), "not a supported key", id="DSA"),
    ],
)
def test_what_holds_no_key_is_refused_with_the_reason(document: bytes, reason: str) -> None:
    with pytest.raises(KeySetError, match=reason):
        read_keys(document, allow_secrets=True)


@pytest.mark.parametrize(
    "members",
    [{"use": "enc"}, {"key_ops": ["encrypt"]}, {"key_ops": "verify"}],
    ids=["to encrypt", "operations without verify", "operations that are no list"],
)
def test_keys_for_other_things_are_passed_over(members: dict[str, Any]) -> None:
    other = public_jwk(private_key("RSA"), kid="other", **members)
    ours = public_jwk(private_key("P-256"), kid="ours", use="sig")
    assert [key.kid for key in read_keys(jwk_set(other, ours), allow_secrets=False)] == ["ours"]


def test_no_key_is_printed() -> None:
    [key] = read_keys(jwk_set(secret_jwk(b"never-to-be-seen" * 2)), allow_secrets=True)
    assert "seen" not in repr(key)


@pytest.mark.parametrize("algorithm", KIND)
def test_a_key_checks_what_its_private_half_signed(algorithm: str) -> None:
    from jwt.algorithms import get_default_algorithms

    private = private_key(KIND[algorithm])
    [key] = read_keys(jwk_set(public_jwk(private)), allow_secrets=False)
    signature = get_default_algorithms()[algorithm].sign(b"text", private)
    assert key.verify(algorithm, b"text", signature)
    assert not key.verify(algorithm, b"other", signature)
    assert not key.verify(algorithm, b"text", b"")
    assert not key.verify("HS256", b"text", signature)
    assert not key.verify("none", b"text", b"")


class Source:
    """Where keys come from, and the time."""

    def __init__(self, *kids: str | None) -> None:
        self.kids = kids
        self.loads = 0
        self.now_s = 1000.0
        self.said: list[str] = []
        self.is_down = False
        self.gate = asyncio.Event()
        self.gate.set()

    async def load(self) -> Sequence[VerificationKey]:
        self.loads += 1
        await self.gate.wait()
        if self.is_down:
            raise KeySetError("is down")
        return [VerificationKey(frozenset({"ES256"}), kid) for kid in self.kids]

    def keys(self) -> IssuerKeys:
        return IssuerKeys(
            self.load,
            Freshness(refresh_s=300, retry_s=30, stale_s=3600),
            say=self.said.append,
            clock=lambda: self.now_s,
        )


async def _kids(keys: IssuerKeys, kid: str | None, algorithm: str = "ES256") -> list[str | None]:
    return [key.kid for key in await keys.find(algorithm, kid)]


async def test_keys_are_loaded_once_and_found_by_their_id() -> None:
    source = Source("a", "b")
    keys = source.keys()
    assert await _kids(keys, "a") == ["a"]
    assert await _kids(keys, "b") == ["b"]
    assert await _kids(keys, None) == ["a", "b"]
    assert await _kids(keys, "a", "RS256") == []
    assert source.loads == 1
    assert "2 keys" in repr(keys)


async def test_a_key_without_an_id_will_do_for_any() -> None:
    assert await _kids(Source(None).keys(), "whatever") == [None]


async def test_of_many_keys_that_fit_a_few_are_tried() -> None:
    assert len(await _kids(Source(*map(str, range(50))).keys(), None)) == 8


async def test_however_many_ask_keys_are_loaded_once() -> None:
    source = Source("a")
    source.gate.clear()
    keys = source.keys()
    asking = [asyncio.create_task(_kids(keys, "a")) for _ in range(50)]
    await asyncio.sleep(0)
    asking[0].cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*asking[1:]) == [["a"]] * 49
    assert source.loads == 1


async def test_a_new_key_is_found_although_the_old_ones_are_fresh() -> None:
    source = Source("a")
    keys = source.keys()
    await keys.find("ES256", "a")
    source.kids, source.now_s = ("b",), source.now_s + 31
    assert await _kids(keys, "b") == ["b"]
    assert await _kids(keys, "a") == []


async def test_unknown_keys_are_asked_for_at_most_once_in_an_interval() -> None:
    source = Source("a")
    keys = source.keys()
    for number in range(100):
        assert await _kids(keys, f"made up {number}") == []
    assert source.loads == 1
    source.now_s += 31
    for number in range(100):
        assert await _kids(keys, f"made up {number}") == []
    assert source.loads == 2


async def test_keys_that_got_old_serve_while_new_ones_are_loaded() -> None:
    source = Source("a")
    keys = source.keys()
    await keys.find("ES256", "a")
    source.gate.clear()
    source.now_s += 361
    assert await _kids(keys, "a") == ["a"]
    await asyncio.sleep(0)
    assert source.loads == 2
    await keys.close()


async def test_nodes_that_start_together_do_not_load_keys_again_at_the_same_time() -> None:
    sources = [Source("a") for _ in range(100)]
    nodes = [source.keys() for source in sources]
    loaded = []
    for after_s in (0, 239, 61, 61):
        for source, keys in zip(sources, nodes, strict=True):
            source.now_s += after_s
            await keys.find("ES256", "a")
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        loaded.append(sum(source.loads for source in sources))
    first, early, half, last = loaded
    assert (first, early, last) == (100, 100, 200)
    assert 110 < half < 190


async def test_while_an_issuer_is_down_its_old_keys_serve_but_not_for_ever() -> None:
    source = Source("a")
    keys = source.keys()
    await keys.find("ES256", "a")
    source.is_down = True
    source.now_s += 3599
    assert await _kids(keys, "a") == ["a"]
    await until(lambda: source.said)
    assert source.said == ["is down"]
    source.now_s += 2
    with pytest.raises(KeysUnavailableError):
        await keys.find("ES256", "a")
    source.is_down = False
    source.now_s += 31
    assert await _kids(keys, "a") == ["a"]


async def test_an_issuer_that_was_never_reached_is_asked_again_soon_but_not_at_once() -> None:
    source = Source("a")
    source.is_down = True
    keys = source.keys()
    for _ in range(5):
        with pytest.raises(KeysUnavailableError):
            await keys.find("ES256", "a")
    assert source.loads == 1
    source.is_down = False
    source.now_s += 2
    assert await _kids(keys, "a") == ["a"]


async def test_closed_it_loads_no_more() -> None:
    source = Source("a")
    source.gate.clear()
    keys = source.keys()
    keys.begin()
    await asyncio.sleep(0)
    await keys.close()
    await keys.close()
    assert source.loads == 1


def test_keys_beyond_a_hundred_are_not_looked_at() -> None:
    jwk = public_jwk(private_key("P-256"))
    document = json.dumps({"keys": [{}] * 100 + [jwk]}).encode()
    with pytest.raises(KeySetError, match="no key"):
        read_keys(document, allow_secrets=False)


async def test_an_unexpected_fault_keeps_the_keys_and_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Source("a")
    broken = False

    async def load() -> Sequence[VerificationKey]:
        if broken:
            raise RecursionError
        return await source.load()

    freshness = Freshness(refresh_s=300, retry_s=30, stale_s=3600)
    keys = IssuerKeys(load, freshness, say=source.said.append, clock=lambda: source.now_s)
    assert await _kids(keys, "a") == ["a"]
    broken = True
    source.now_s += 301
    assert await _kids(keys, "a") == ["a"]
    assert await _kids(keys, "unknown") == []
    assert "the keys of an issuer could not be loaded" in caplog.text
    await keys.close()
