"""Where an issuer's keys are: files, URLs, and what OIDC says."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.authenticator import AuthError
from gateway.auth.jwt.fetch import Fetch, FetchError
from gateway.auth.jwt.issuers import open_jwts
from gateway.auth.jwt.jwks import KeySetError
from gateway.auth.jwt.key_sources import load_from
from gateway.config.credentials import JwtIssuer, JwtOptions
from tests.support.jwts import ISSUER, jwk_set, private_key, public_jwk, public_pem, secret_jwk

KEYS = jwk_set(public_jwk(private_key("P-256"), kid="a"))
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"


def issuer(**options: Any) -> JwtIssuer:
    return JwtIssuer.model_validate({"issuer": ISSUER, "audiences": ["x"]} | options)


def fetching(documents: Mapping[str, bytes]) -> Fetch:
    async def fetch(url: str) -> bytes:
        if url not in documents:
            raise FetchError("answers with status 404")
        return documents[url]

    return fetch


def discovery(**changed: Any) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys"} | changed).encode()


async def test_keys_come_from_the_url_that_is_set() -> None:
    load = load_from(issuer(keys_url="https://a/keys"), fetching({"https://a/keys": KEYS}))
    assert [key.kid for key in await load()] == ["a"]


@pytest.mark.parametrize("name", [ISSUER, f"{ISSUER}/"])
async def test_keys_come_from_where_oidc_says(name: str) -> None:
    documents = {DISCOVERY: discovery(issuer=name), f"{ISSUER}/keys": KEYS}
    load = load_from(issuer(issuer=name), fetching(documents))
    assert [key.kid for key in await load()] == ["a"]


@pytest.mark.parametrize(
    ("documents", "reason"),
    [
        pytest.param({}, "404", id="nothing there"),
        pytest.param({DISCOVERY: b"<html>"}, "not an OpenID configuration", id="no JSON"),
        pytest.param({DISCOVERY: b"[]"}, "not an OpenID configuration", id="a list"),
        pytest.param({DISCOVERY: b"[" * 99_999}, "not an OpenID configuration", id="nested deeply"),
        pytest.param({DISCOVERY: discovery(jwks_uri=7)}, "with jwks_uri", id="a number for a URL"),
        pytest.param(
            {DISCOVERY: discovery(issuer="https://evil.example")}, "another issuer", id="another"
        ),
        pytest.param({DISCOVERY: discovery(issuer=None)}, "another issuer", id="no issuer"),
        pytest.param(
            {DISCOVERY: discovery(jwks_uri="http://issuer.example/keys")},
            "expected an https",
            id="keys without TLS",
        ),
        pytest.param(
            {DISCOVERY: discovery(jwks_uri="file:///etc/passwd")}, "expected an https", id="a file"
        ),
        pytest.param({DISCOVERY: discovery()}, f"{ISSUER}/keys: answers", id="no keys there"),
        pytest.param(
            {DISCOVERY: discovery(), f"{ISSUER}/keys": jwk_set(secret_jwk())},
            "no key that can verify",
            id="a published secret",
        ),
    ],
)
async def test_what_oidc_says_is_checked(documents: dict[str, bytes], reason: str) -> None:
    with pytest.raises(KeySetError, match=reason):
        await load_from(issuer(), fetching(documents))()


async def test_a_file_is_read_again_each_time(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(KEYS)
    load = load_from(issuer(keys_file=path), fetching({}))
    assert [key.kid for key in await load()] == ["a"]
    path.write_bytes(public_pem(private_key("RSA")))
    assert [key.kid for key in await load()] == [None]


async def test_a_secret_is_taken_from_a_file_only_where_hs_is(tmp_path: Path) -> None:
    path = tmp_path / "keys"
    path.write_bytes(jwk_set(secret_jwk()))
    assert await load_from(issuer(keys_file=path, algorithms=["HS256"]), fetching({}))()
    with pytest.raises(KeySetError, match="no key that can verify"):
        await load_from(issuer(keys_file=path), fetching({}))()


@pytest.mark.parametrize(
    ("content", "reason"),
    [(None, "cannot be read: No such file"), (b"x" * 1_048_577, "longer"), (b"x", "neither")],
    ids=["missing", "huge", "no keys"],
)
async def test_a_file_that_is_no_good_keeps_the_gateway_from_starting(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    path = tmp_path / "keys"
    if content is not None:
        path.write_bytes(content)
    options = JwtOptions(issuers=(issuer(keys_file=path),))
    with pytest.raises(AuthError, match=rf"^auth.jwt.issuers\[0\].keys_file: .*{reason}"):
        async with open_jwts(options, fetching({}), print):
            pass


async def test_an_issuer_that_is_down_keeps_nobody_from_starting() -> None:
    async with open_jwts(JwtOptions(issuers=(issuer(),)), fetching({}), print) as jwts:
        assert "1 issuers" in repr(jwts)


async def test_a_pipe_in_place_of_a_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "keys.json")
    load = load_from(issuer(keys_file=str(tmp_path / "keys.json")), fetching({}))
    with pytest.raises(KeySetError, match=r"keys\.json: cannot be read: it is not a regular file"):
        await load()


@pytest.mark.parametrize("kind", ["folder", "device"])
async def test_what_else_is_no_file_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path if kind == "folder" else "/dev/zero"
    with pytest.raises(KeySetError, match="cannot be read"):
        await load_from(issuer(keys_file=str(path)), fetching({}))()
