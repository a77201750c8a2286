"""Tokens as bearer credentials."""

import pytest

from gateway.auth.secrets import ACCESS, REFRESH, new_secret
from gateway.auth.tokens.authenticator import TokenAuthenticator, bearer
from gateway.auth.tokens.tokens import Grant, Tokens
from gateway.call import Call
from gateway.status import Code, StatusError
from gateway.stores.base import StoreUnavailableError, TokenRecord
from gateway.stores.memory import MemoryStore
from tests.support.front_end import schema

GRANT = Grant("users/ada", "demo", frozenset({"read"}), 60.0, {"tenant": "t1"})


class Store(MemoryStore):
    """Counts what it is asked, and can be out of reach."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.is_down = False

    async def find_token(self, digest: bytes) -> TokenRecord | None:
        self.asked += 1
        if self.is_down:
            raise StoreUnavailableError("redis at 10.1.1.1: refused")
        return await super().find_token(digest)


def call(**headers: str) -> Call:
    return Call(schema().methods["front.v1.Front.GetItem"], headers=headers)


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        pytest.param({"Authorization": "Bearer abc"}, "abc", id="a bearer credential"),
        pytest.param({"Authorization": "bEARER abc"}, "abc", id="schemes know no case"),
        pytest.param({"Authorization": "Bearer   abc "}, "abc", id="with spaces"),
        pytest.param({"Authorization": "Basic abc"}, None, id="another scheme"),
        pytest.param({"Authorization": "Bearerabc"}, None, id="no space"),
        pytest.param({"Authorization": ""}, None, id="empty"),
        pytest.param({}, None, id="none"),
    ],
)
def test_a_bearer_credential_is_what_follows_the_scheme(
    headers: dict[str, str], text: str | None
) -> None:
    assert bearer(call(**headers)) == text


async def test_a_good_token_is_its_principal() -> None:
    tokens = Tokens(MemoryStore())
    issued = await tokens.issue(GRANT)
    principal = await TokenAuthenticator(tokens).authenticate(
        call(Authorization=f"Bearer {issued.access_token}")
    )
    assert principal is not None
    assert (principal.name, principal.client, principal.kind) == ("users/ada", "demo", "token")
    assert principal.scopes == {"read"}
    assert principal.claims == {"tenant": "t1"}
    assert principal.credential
    assert principal.credential not in issued.access_token


@pytest.mark.parametrize("header", ["Basic abc", "Bearer eyJhbGciOiJub25lIn0.e30.", "Bearer gwk_1"])
async def test_credentials_of_another_kind_are_left_to_others(header: str) -> None:
    authenticator = TokenAuthenticator(Tokens(MemoryStore()))
    assert await authenticator.authenticate(call(Authorization=header)) is None
    assert await authenticator.authenticate(call()) is None


@pytest.mark.parametrize(
    ("token", "asked"),
    [
        pytest.param(new_secret(ACCESS), 1, id="never issued"),
        pytest.param(new_secret(ACCESS)[:-1] + "!", 0, id="tampered with"),
        pytest.param("gwt_", 0, id="empty"),
        pytest.param("gwt_' OR 1=1 --", 0, id="SQL"),
        pytest.param("gwt_" + new_secret(REFRESH)[4:], 0, id="a refresh token, renamed"),
    ],
)
async def test_a_bad_token_is_refused_and_a_made_up_one_asks_no_store(
    token: str, asked: int
) -> None:
    store = Store()
    with pytest.raises(StatusError) as refused:
        await TokenAuthenticator(Tokens(store)).authenticate(call(Authorization=f"Bearer {token}"))
    assert refused.value.code is Code.UNAUTHENTICATED
    assert token not in repr(refused.value.headers) + refused.value.message
    challenge = dict(refused.value.headers)["WWW-Authenticate"]
    assert challenge.startswith('Bearer error="invalid_token"')
    assert store.asked == asked


async def test_a_known_token_costs_the_store_one_question() -> None:
    store = Store()
    tokens = Tokens(store)
    issued = await tokens.issue(GRANT)
    authenticator = TokenAuthenticator(tokens)
    shown = call(Authorization=f"Bearer {issued.access_token}")
    first = await authenticator.authenticate(shown)
    assert all([await authenticator.authenticate(shown) is first for _ in range(10)])
    assert store.asked == 1


async def test_a_token_is_known_however_it_is_spelled() -> None:
    store = Store()
    tokens = Tokens(store)
    issued = await tokens.issue(GRANT)
    authenticator = TokenAuthenticator(tokens)
    text = issued.access_token
    first = await authenticator.authenticate(call(Authorization=f"bearer  {text} "))
    for shown in (f"Bearer {text}", f"BEARER   {text}"):
        assert authenticator.recall(call(), shown) is first
    for shown in (f"Bearer Bearer {text}", f"Basic {text}", text, f"Bearer e{text}"):
        assert authenticator.recall(call(), shown) is not first
    assert store.asked == 1


async def test_while_the_store_is_out_of_reach_nobody_is_let_in_and_told_why() -> None:
    store = Store()
    tokens = Tokens(store)
    issued = await tokens.issue(GRANT)
    authenticator = TokenAuthenticator(tokens)
    shown = call(Authorization=f"Bearer {issued.access_token}")
    store.is_down = True
    with pytest.raises(StatusError) as refused:
        await authenticator.authenticate(shown)
    assert refused.value.code is Code.UNAVAILABLE
    assert "10.1.1.1" not in refused.value.message
    assert [detail.TypeName() for detail in refused.value.details] == ["google.rpc.RetryInfo"]
    store.is_down = False
    assert await authenticator.authenticate(shown) is not None
