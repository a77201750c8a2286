"""The life of a token, against a store in memory; every store keeps the same contract."""

import asyncio
from dataclasses import replace

import pytest

from gateway.auth.secrets import ACCESS, REFRESH, digest, new_secret
from gateway.auth.tokens.tokens import Grant, InvalidTokenError, Issued, Tokens
from gateway.stores.base import TokenRecord
from gateway.stores.memory import MemoryStore
from tests.support.recording import AuditLog, Clock

GRANT = Grant("users/ada", "demo", frozenset({"read", "write"}), 60.0, {"tenant": "t1"}, 600.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit_log() -> AuditLog:
    return AuditLog()


@pytest.fixture
def tokens(clock: Clock, audit_log: AuditLog) -> Tokens:
    return Tokens(MemoryStore(clock), audit_log, clock)


async def renewed(tokens: Tokens, refresh_token: str | None, grant: Grant = GRANT) -> Issued:
    assert refresh_token is not None
    record = await tokens.find_refresh(refresh_token)
    if record is None:
        raise await tokens.refusal(refresh_token)
    return await tokens.renew(refresh_token, record, grant)


async def test_an_access_token_stands_for_what_was_granted(tokens: Tokens, clock: Clock) -> None:
    issued = await tokens.issue(GRANT)
    record = await tokens.verify(issued.access_token)
    assert record is not None
    assert (record.principal, record.client) == ("users/ada", "demo")
    assert (record.scopes, record.claims) == (GRANT.scopes, {"tenant": "t1"})
    assert (record.issued_at_s, record.expires_at_s) == (clock.now_s, clock.now_s + 60)
    assert record.digest == digest(issued.access_token)


async def test_what_is_issued_shows_no_token_when_it_is_printed(tokens: Tokens) -> None:
    issued = await tokens.issue(GRANT)
    assert issued.access_token not in repr(issued)
    assert str(issued.refresh_token) not in repr(issued)


async def test_it_ends_when_its_time_is_over(tokens: Tokens, clock: Clock) -> None:
    issued = await tokens.issue(GRANT)
    clock.now_s += 59.9
    assert await tokens.verify(issued.access_token) is not None
    clock.now_s += 0.2
    assert await tokens.verify(issued.access_token) is None


async def test_without_a_life_for_it_there_is_no_refresh_token(tokens: Tokens) -> None:
    assert (await tokens.issue(replace(GRANT, refresh_ttl_s=None))).refresh_token is None


async def test_each_kind_of_token_opens_only_its_own_door(tokens: Tokens) -> None:
    issued = await tokens.issue(GRANT)
    assert issued.refresh_token is not None
    assert await tokens.verify(issued.refresh_token) is None
    assert await tokens.find_refresh(issued.access_token) is None
    assert "malformed" in str(await tokens.refusal(issued.access_token))
    assert await tokens.verify(issued.access_token) is not None


async def test_either_kind_can_be_looked_up(tokens: Tokens) -> None:
    issued = await tokens.issue(GRANT)
    for text in (issued.access_token, issued.refresh_token):
        assert await tokens.find(str(text)) is not None
    assert await tokens.find(new_secret(ACCESS)) is None
    assert await tokens.find("' OR 1=1 --") is None


async def test_a_refresh_token_gives_new_ones_once(tokens: Tokens) -> None:
    first = await tokens.issue(GRANT)
    second = await renewed(tokens, first.refresh_token)
    assert second.refresh_token not in (None, first.refresh_token)
    third = await renewed(tokens, second.refresh_token)
    for issued in (first, second, third):
        assert await tokens.verify(issued.access_token) is not None


async def test_shown_again_it_costs_the_whole_login(tokens: Tokens, audit_log: AuditLog) -> None:
    first = await tokens.issue(GRANT)
    second = await renewed(tokens, first.refresh_token)
    elsewhere = await tokens.issue(GRANT)
    with pytest.raises(InvalidTokenError, match="used before"):
        await renewed(tokens, first.refresh_token)
    for text in (first.access_token, second.access_token, second.refresh_token):
        assert await tokens.find(str(text)) is None
    assert await tokens.verify(elsewhere.access_token) is not None
    assert audit_log.names == ["token.issued", "token.refreshed", "token.issued", "token.reuse"]
    logins = [fields["family"] for _, fields in audit_log.events]
    assert logins == [first.family, first.family, elsewhere.family, first.family]


async def test_of_fifty_at_once_one_wins_and_then_nobody_has(tokens: Tokens) -> None:
    issued = await tokens.issue(GRANT)
    record = await tokens.find_refresh(str(issued.refresh_token))
    assert record is not None
    renewals = [tokens.renew(str(issued.refresh_token), record, GRANT) for _ in range(50)]
    outcomes = await asyncio.gather(*renewals, return_exceptions=True)
    won = [outcome for outcome in outcomes if isinstance(outcome, Issued)]
    assert len(won) == 1
    assert all(isinstance(one, InvalidTokenError) for one in outcomes if one is not won[0])
    assert await tokens.verify(won[0].access_token) is None


async def test_a_refresh_token_that_never_was_or_has_expired_says_so(
    tokens: Tokens, clock: Clock
) -> None:
    with pytest.raises(InvalidTokenError, match="expired or was revoked"):
        await renewed(tokens, new_secret(REFRESH))
    issued = await tokens.issue(GRANT)
    clock.now_s += 601
    with pytest.raises(InvalidTokenError, match="expired or was revoked"):
        await renewed(tokens, issued.refresh_token)


async def test_less_can_be_had_this_time_and_all_the_next(tokens: Tokens) -> None:
    first = await tokens.issue(GRANT)
    less = replace(GRANT, scopes=frozenset({"read"}), refresh_scopes=GRANT.scopes)
    second = await renewed(tokens, first.refresh_token, less)
    access, refresh = await both(tokens, second)
    assert access.scopes == {"read"}
    assert refresh.scopes == {"read", "write"}


async def both(tokens: Tokens, issued: Issued) -> tuple[TokenRecord, TokenRecord]:
    access = await tokens.find(issued.access_token)
    refresh = await tokens.find(str(issued.refresh_token))
    assert access is not None
    assert refresh is not None
    return access, refresh


async def test_revoking_a_token_revokes_its_login_and_no_other(
    tokens: Tokens, audit_log: AuditLog
) -> None:
    mine, other = await tokens.issue(GRANT), await tokens.issue(GRANT)
    access, _ = await both(tokens, mine)
    await tokens.revoke(access)
    assert await tokens.find(mine.access_token) is None
    assert await tokens.find(str(mine.refresh_token)) is None
    assert await tokens.find(other.access_token) is not None
    assert audit_log.events[-1] == (
        "token.revoked",
        {"principal": "users/ada", "client": "demo", "family": access.family},
    )


async def test_no_secret_is_in_the_audit_trail(tokens: Tokens, audit_log: AuditLog) -> None:
    first = await tokens.issue(GRANT)
    second = await renewed(tokens, first.refresh_token)
    with pytest.raises(InvalidTokenError):
        await renewed(tokens, first.refresh_token)
    written = repr(audit_log.events)
    for issued in (first, second):
        assert issued.access_token[4:] not in written
        assert str(issued.refresh_token)[4:] not in written


async def test_an_administrator_ends_a_login_by_its_name(
    tokens: Tokens, audit_log: AuditLog
) -> None:
    issued = await tokens.issue(GRANT)
    assert await tokens.verify(issued.access_token)
    assert await tokens.revoke_family(issued.family) == 2  # with the refresh token
    assert await tokens.verify(issued.access_token) is None
    assert await tokens.revoke_family(issued.family) == 0
    assert audit_log.names == ["token.issued", "token.revoked"]


async def test_an_administrator_lists_and_ends_all_that_somebody_has(
    tokens: Tokens, audit_log: AuditLog
) -> None:
    ada = {(await tokens.issue(GRANT)).family for _ in range(2)}
    bob = (await tokens.issue(replace(GRANT, principal="users/bob"))).family
    assert {record.family async for record in tokens.list_all("users/ada")} == ada
    assert {record.family async for record in tokens.list_all()} == {*ada, bob}
    assert await tokens.revoke_principal("users/ada") == 4
    assert await tokens.revoke_principal("users/ada") == 0
    assert {record.family async for record in tokens.list_all()} == {bob}
    assert audit_log.events[-1] == ("token.revoked", {"principal": "users/ada"})
    assert audit_log.names.count("token.revoked") == 1
