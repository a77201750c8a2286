"""What is tried against API keys, over real sockets, and comes to nothing."""

from pathlib import Path

import pytest

from gateway.auth.keys.api_keys import KeyRequest
from gateway.auth.secrets import ACCESS, API_KEY, new_secret
from gateway.auth.tokens.tokens import Grant
from tests.integration.keys.conftest import KeyGateway, OpenKeys
from tests.support.polling import first, until

ACME = KeyRequest("partners/acme", frozenset({"read"}))
GRANT = Grant("users/ada", "demo", frozenset({"read"}), 60.0)


def swapped(key: str) -> str:
    return key[:20] + ("A" if key[20] != "A" else "B") + key[21:]


@pytest.mark.parametrize(
    "shown",
    [
        pytest.param("", id="empty"),
        pytest.param("gwk_", id="the prefix alone"),
        pytest.param(new_secret(API_KEY), id="never made"),
        pytest.param(new_secret(ACCESS), id="a token"),
        pytest.param("AIza" + "A" * 35, id="a foreign prefix"),
        pytest.param("{swapped}", id="tampered with"),
        pytest.param("{upper}", id="in capitals"),
        pytest.param("{key},{key}", id="two in one"),
        pytest.param("{key} x", id="with more behind it"),
        pytest.param("{key}%00", id="with an escape behind it"),
        pytest.param("Bearer {key}", id="with a scheme"),
        pytest.param("{key}AAAA", id="longer"),
        pytest.param("gwk_' OR '1'='1", id="SQL"),
        pytest.param("gwk_*", id="a pattern"),
        pytest.param("gwk_\xff\xfe", id="bytes that are no text"),
        pytest.param("gwk_" + "A" * 12_000, id="huge"),
    ],
)
async def test_only_a_good_key_is_taken(gateway: KeyGateway, shown: str) -> None:
    key = (await gateway.keys.create(ACME)).secret
    text = shown.format(key=key, swapped=swapped(key), upper=key.upper())
    answer = await gateway.call(text)
    assert answer.status == 401
    assert answer.header("WWW-Authenticate") == 'ApiKey header="X-API-Key"'
    assert key not in answer.body.decode()
    assert (await gateway.call(key)).status == 200


async def test_a_header_over_the_limit_is_not_even_looked_at(gateway: KeyGateway) -> None:
    assert (await gateway.call("gwk_" + "A" * 20_000)).status == 431


async def test_a_key_is_good_until_it_expires(gateway: KeyGateway) -> None:
    made = await gateway.keys.create(KeyRequest("acme", ttl_s=1.5))
    assert (await gateway.call(made.secret)).status == 200
    await first(lambda: gateway.call(made.secret), lambda one: one.status == 401)


async def test_a_key_of_another_gateway_is_none(
    gateway: KeyGateway, open_keys: OpenKeys, tmp_path: Path
) -> None:
    other = await open_keys(f"sqlite:///{tmp_path}/other.db")
    assert (await gateway.call((await other.keys.create(ACME)).secret)).status == 401


async def test_unknown_revoked_and_expired_keys_are_told_the_same(gateway: KeyGateway) -> None:
    gone = await gateway.keys.create(ACME)
    await gateway.keys.revoke(gone.record.id)
    late = await gateway.keys.create(KeyRequest("acme", ttl_s=1e-6))
    elsewhere = await gateway.keys.create(KeyRequest("acme", networks=("192.0.2.0/24",)))
    shown = [new_secret(API_KEY), gone.secret, late.secret, elsewhere.secret]
    answers = [await gateway.call(secret) for secret in shown]
    assert {answer.status for answer in answers} == {401}
    assert len({answer.body for answer in answers}) == 1


@pytest.mark.parametrize("good_first", [True, False])
@pytest.mark.parametrize("name", ["X-API-Key", "x-api-key", "X-API-KEY"])
async def test_of_two_keys_neither_is_believed(
    gateway: KeyGateway, name: str, good_first: bool
) -> None:
    good = f"X-API-Key: {(await gateway.keys.create(ACME)).secret}"
    bad = f"{name}: {(await gateway.keys.create(KeyRequest('bob'))).secret}"
    answer = await gateway.get(*((good, bad) if good_first else (bad, good)))
    assert answer.status == 400
    assert "sent twice" in answer.json()["error"]["message"]


@pytest.mark.parametrize("authorization", ["Bearer {token}", "Bearer x", "Basic eDp5", "{key}"])
async def test_of_a_key_and_another_credential_neither_is_believed(
    gateway: KeyGateway, authorization: str
) -> None:
    key = (await gateway.keys.create(ACME)).secret
    token = (await gateway.tokens.issue(GRANT)).access_token
    answer = await gateway.call(key, f"Authorization: {authorization.format(token=token, key=key)}")
    assert answer.status == 400
    assert "X-API-Key or Authorization" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    "header",
    [
        "Authorization: Bearer {}",
        "Authorization: ApiKey {}",
        "Authorization: {}",
    ],
)
async def test_a_key_is_taken_from_its_header_alone(gateway: KeyGateway, header: str) -> None:
    key = (await gateway.keys.create(ACME)).secret
    assert (await gateway.get(header.format(key))).status == 401


@pytest.mark.parametrize("header", ["Cookie: X-API-Key={}", "X-Api-Key-2: {}", "X_API_Key: {}"])
async def test_a_header_that_only_resembles_it_names_nobody(
    gateway: KeyGateway, header: str
) -> None:
    key = (await gateway.keys.create(ACME)).secret
    assert "x-principal" not in await gateway.seen(header.format(key))


@pytest.mark.parametrize(
    "target",
    [
        "/v1/echo/hello?key={}",
        "/v1/echo/hello?api_key={}",
        "/v1/echo/hello?number=1&text={}",
        "/v1/echo/{}",
        "/nowhere/{}",
    ],
)
async def test_a_key_in_a_url_is_refused_though_it_is_good(
    gateway: KeyGateway, target: str
) -> None:
    key = (await gateway.keys.create(ACME)).secret
    answer = await gateway.get(path=target.format(key))
    assert answer.status == 400
    assert key not in answer.body.decode()


@pytest.mark.parametrize(
    "header",
    [
        "X-Principal: users/root",
        "X-PRINCIPAL-SCOPES: admin",
        "X-Principal-Client: root",
        "X-Principal-Claim-Admin: yes",
    ],
)
async def test_who_is_calling_is_said_by_the_gateway_alone(
    gateway: KeyGateway, header: str
) -> None:
    key = (await gateway.keys.create(ACME)).secret
    seen = await gateway.seen(f"X-API-Key: {key}", header)
    told = {name: value for name, value in seen.items() if name.startswith("x-principal")}
    assert told == {"x-principal": "partners/acme", "x-principal-scopes": "read"}


@pytest.mark.parametrize(
    "owner",
    [
        "x'; DROP TABLE api_keys; --",
        '"}{"forged": "1',
        "ann's büro",
        "50% off",
    ],
)
async def test_a_name_is_only_ever_a_name(
    open_keys: OpenKeys, shared_store: str, owner: str
) -> None:
    gateway = await open_keys(shared_store)
    made = await gateway.keys.create(KeyRequest(owner))
    seen = await gateway.seen(f"X-API-Key: {made.secret}")
    assert [record.owner async for record in gateway.keys.list_all()] == [owner]
    # As metadata can carry it: RFC 3986 section 2.1.
    told = owner.replace("%", "%25").replace("ü", "%C3%BC")
    assert seen["x-principal"] == told


async def test_no_key_is_written_down(open_keys: OpenKeys, tmp_path: Path) -> None:
    log, kept = tmp_path / "access.log", tmp_path / "kept"
    kept.mkdir()
    gateway = await open_keys(f"sqlite:///{kept}/gateway.db", log=str(log))
    made = await gateway.keys.create(ACME)
    rotated = await gateway.keys.rotate(made.record.id, 60.0)
    assert rotated is not None
    for key in (made.secret, rotated.secret):
        assert (await gateway.call(key)).status == 200
        assert (await gateway.call(swapped(key))).status == 401
        assert (await gateway.get(path=f"/v1/echo/{key}")).status == 400
    await until(lambda: log.exists() and log.read_bytes().count(b"\n") == 6)
    written = b"".join(path.read_bytes() for path in [log, *kept.iterdir()])
    assert made.record.id.encode() in written
    assert not [one for one in (made, rotated) if one.secret.encode() in written]
    assert not [one for one in (made, rotated) if swapped(one.secret).encode() in written]
