"""Where nobody may call without showing a credential, nobody does."""

from tests.integration.tokens.conftest import Open


async def test_whoever_shows_nothing_is_refused(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", anonymous=False)
    answer = await gateway.call(None)
    assert answer.status == 401
    # RFC 6750 section 3.1: no error code for who just did not know.
    assert answer.headers["WWW-Authenticate"] == "Bearer"
    assert answer.body["error"]["status"] == "UNAUTHENTICATED"


async def test_whoever_shows_a_token_is_served(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", anonymous=False)
    token = (await gateway.issue())["access_token"]
    assert (await gateway.call(token)).status == 200


async def test_anonymous_callers_pass_where_they_are_let_in(open_gateways: Open) -> None:
    gateway = await open_gateways("memory:", anonymous=True)
    assert "x-principal" not in await gateway.seen(None)
