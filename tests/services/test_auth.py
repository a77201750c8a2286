"""The sample authentication server."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import yaml
from argon2 import PasswordHasher

from gatewayapi.v1 import auth_pb2 as pb
from gatewayapi.v1 import auth_pb2_grpc as rpc
from services import auth
from services.serving import serve

CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)


class CountingHasher(PasswordHasher):
    """Verifies like any other, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.verified: list[str] = []

    def verify(self, hash: str | bytes, password: str | bytes) -> Any:  # noqa: A002 - argon2's name
        self.verified.append(str(hash).rsplit("$", 2)[0])
        return super().verify(hash, password)


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    path = tmp_path / "accounts.yaml"
    known = {
        "clients": {
            "web": {"secret": CHEAP.hash("s3cret"), "scopes": ["read", "write"]},
            "batch": {"secret": CHEAP.hash("s3cret"), "refreshable": False, "ttl_s": 60},
        },
        "users": {
            "ada": {
                "secret": CHEAP.hash("lovelace"),
                "scopes": ["write", "delete"],
                "claims": {"tenant": "t1"},
            }
        },
    }
    path.write_text(yaml.safe_dump(known))
    return path


@pytest.fixture
def hasher() -> CountingHasher:
    return CountingHasher()


@pytest.fixture
async def stub(accounts: Path, hasher: CountingHasher) -> AsyncIterator[Any]:
    async with (
        serve(lambda server: auth.register(server, accounts, hasher)) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        yield rpc.AuthServiceStub(channel)


WEB = pb.Client(id="web", secret="s3cret")


def password(username: str, password: str) -> pb.AuthenticateRequest:
    return pb.AuthenticateRequest(
        client=WEB, password=pb.Password(username=username, password=password)
    )


async def refusal(stub: Any, request: pb.AuthenticateRequest) -> tuple[grpc.StatusCode, str]:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await stub.Authenticate(request)
    return refused.value.code(), str(refused.value.details())


async def test_a_client_is_vouched_for_by_its_secret(stub: Any) -> None:
    answer = await stub.Authenticate(pb.AuthenticateRequest(client=WEB))
    assert answer.principal == "clients/web"
    assert answer.granted_scopes == ["read", "write"]
    assert answer.refreshable


async def test_life_and_renewal_are_the_clients_own(stub: Any) -> None:
    batch = pb.Client(id="batch", secret="s3cret")
    answer = await stub.Authenticate(pb.AuthenticateRequest(client=batch))
    assert answer.time_to_live.seconds == 60
    assert not answer.refreshable


async def test_no_more_is_granted_than_asked_for(stub: Any) -> None:
    asked = pb.AuthenticateRequest(client=WEB, requested_scopes=["read", "admin"])
    assert (await stub.Authenticate(asked)).granted_scopes == ["read"]


async def test_a_user_gets_no_more_than_the_client_may_have(stub: Any) -> None:
    answer = await stub.Authenticate(password("ada", "lovelace"))
    assert (answer.principal, answer.granted_scopes) == ("users/ada", ["write"])
    assert dict(answer.claims) == {"tenant": "t1"}


@pytest.mark.parametrize("principal", ["users/ada", "clients/web"])
async def test_who_was_vouched_for_is_vouched_for_again(stub: Any, principal: str) -> None:
    asked = pb.AuthenticateRequest(client=WEB, renewal=pb.Renewal(principal=principal))
    assert (await stub.Authenticate(asked)).principal == principal


@pytest.mark.parametrize("principal", ["users/gone", "users/", "ada", "", "admins/ada"])
async def test_who_is_gone_is_not(stub: Any, principal: str) -> None:
    asked = pb.AuthenticateRequest(client=WEB, renewal=pb.Renewal(principal=principal))
    code, _ = await refusal(stub, asked)
    assert code is grpc.StatusCode.INVALID_ARGUMENT


async def test_unknown_and_wrong_clients_get_one_answer_for_the_same_work(
    stub: Any, hasher: CountingHasher
) -> None:
    answers = [
        await refusal(stub, pb.AuthenticateRequest(client=pb.Client(id=name, secret=secret)))
        for name, secret in [("web", "wrong"), ("nobody", "s3cret"), ("", ""), ("web", "")]
    ]
    assert set(answers) == {(grpc.StatusCode.UNAUTHENTICATED, answers[0][1])}
    assert len(hasher.verified) == len(answers)
    assert len(set(hasher.verified)) == 1  # and with the same parameters


async def test_unknown_and_wrong_users_get_one_answer_for_the_same_work(
    stub: Any, hasher: CountingHasher
) -> None:
    answers = [
        await refusal(stub, password(name, secret))
        for name, secret in [("ada", "wrong"), ("nobody", "lovelace"), ("' OR 1=1 --", "x")]
    ]
    assert set(answers) == {(grpc.StatusCode.INVALID_ARGUMENT, answers[0][1])}
    assert len(hasher.verified) == 2 * len(answers)


async def test_a_wrong_client_learns_nothing_of_a_user(stub: Any, hasher: CountingHasher) -> None:
    asked = password("ada", "lovelace")
    asked.client.secret = "wrong"
    code, _ = await refusal(stub, asked)
    assert code is grpc.StatusCode.UNAUTHENTICATED
    assert len(hasher.verified) == 1


def test_an_account_shows_no_hash_when_it_is_printed(accounts: Path) -> None:
    assert "argon2" not in repr(auth.read_accounts(accounts))


async def test_the_accounts_that_come_with_it_are_what_the_file_says() -> None:
    known = auth.read_accounts(auth.FILE)
    hasher = PasswordHasher()
    assert hasher.verify(known.clients["demo"].secret, "demo-secret")
    assert hasher.verify(known.users["ada"].secret, "lovelace")
