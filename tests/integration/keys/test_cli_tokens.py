"""`gateway token`, on stores that a gateway shares."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.secrets import ACCESS, is_secret
from gateway.auth.tokens.tokens import Grant, Tokens
from gateway.stores.opening import open_store
from tests.integration.keys.conftest import OpenKeys
from tests.support.command_line import Done, run
from tests.support.polling import first


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


def issued(store: str, *arguments: str) -> Any:
    done = run("token", "issue", "--json", "--store", store, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(store: str, *arguments: str) -> list[Any]:
    done = run("token", "list", "--json", "--store", store, *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def in_thread(*arguments: str) -> Done:
    """A command beside a gateway that serves in this process."""
    return await asyncio.to_thread(run, *arguments)


async def test_a_running_gateway_takes_a_token_from_its_issue_to_its_end(
    open_keys: OpenKeys, shared_store: str
) -> None:
    gateway = await open_keys(shared_store)
    who = ["--principal", "users/ada", "--scope", "read", "--client", "demo"]
    done = await in_thread("token", "issue", *who, "--store", shared_store)
    header = f"Authorization: Bearer {done.stdout.strip()}"
    seen = await gateway.seen(header)
    assert seen["x-principal"] == "users/ada"
    assert seen["x-principal-scopes"] == "read"
    assert seen["x-principal-client"] == "demo"

    (record,) = [one async for one in gateway.tokens.list_all()]
    revoked = await in_thread("token", "revoke", record.family, "--store", shared_store)
    assert (revoked.returncode, revoked.stderr) == (0, "gateway: revoked 1 token\n")
    await first(lambda: gateway.get(header), lambda answer: answer.status == 401, within_s=5)


def test_a_token_is_printed_alone_so_that_scripts_can_use_it(store: str) -> None:
    done = run("token", "issue", "--principal", "users/ada", "--store", store)
    assert done.returncode == 0
    assert is_secret(done.stdout.removesuffix("\n"), ACCESS)
    assert done.stdout.strip() not in done.stderr
    assert "cannot show it again" in done.stderr


def test_a_token_is_what_was_asked_for(store: str) -> None:
    one = issued(store, "--principal", "users/ada", "--scope", "write read", "--ttl", "15m")
    assert one["expires_in"] == 900
    assert (one["scope"], one["token_type"]) == ("read write", "Bearer")
    (record,) = listed(store)
    assert record.pop("issued_at") < record.pop("expires_at")
    assert record == {
        "id": one["id"],
        "kind": "access",
        "principal": "users/ada",
        "client": "cli",
        "scopes": ["read", "write"],
    }


def test_a_token_lives_as_long_as_the_settings_say(tmp_path: Path, store: str) -> None:
    settings = tmp_path / "settings.yaml"
    settings.write_text("auth: {tokens: {access_ttl_s: 600, max_access_ttl_s: 700}}\n")
    configured = ["--config", str(settings)]
    assert issued(store, "--principal", "a", *configured)["expires_in"] == 600
    assert issued(store, "--principal", "a", "--ttl", "700", *configured)["expires_in"] == 700
    done = run("token", "issue", "--principal", "a", "--ttl", "701", "--store", store, *configured)
    assert done.returncode == 1
    assert "at most 700 seconds" in done.stderr


def test_no_list_shows_a_secret(store: str) -> None:
    token = issued(store, "--principal", "users/ada")["access_token"]
    for flags in ([], ["--json"]):
        done = run("token", "list", *flags, "--store", store)
        assert "users/ada" in done.stdout
        assert token[4:20] not in done.stdout


def test_the_tokens_of_one_can_be_listed_and_ended(store: str) -> None:
    for principal in ("ada", "ada", "bob"):
        issued(store, "--principal", principal)
    assert len(listed(store)) == 3
    assert {one["principal"] for one in listed(store, "--principal", "ada")} == {"ada"}
    done = run("token", "revoke", "--principal", "ada", "--store", store)
    assert done.stderr == "gateway: revoked 2 tokens\n"
    assert [one["principal"] for one in listed(store)] == ["bob"]


def test_a_login_ends_with_all_of_its_tokens(store: str) -> None:
    async def log_in() -> str:
        async with open_store(store) as opened:
            grant = Grant("ada", "demo", frozenset(), 60.0, refresh_ttl_s=600.0)
            return (await Tokens(opened).issue(grant)).access_token

    token = asyncio.run(log_in())
    assert {one["kind"] for one in listed(store)} == {"access", "refresh"}
    assert len({one["id"] for one in listed(store)}) == 1
    done = run("token", "revoke", "-", "--store", store, stdin=token)
    assert done.stderr == "gateway: revoked 2 tokens\n"
    assert listed(store) == []


def test_a_table_of_very_many_says_that_there_are_more(store: str) -> None:
    async def fill() -> None:
        async with open_store(store) as opened:
            tokens = Tokens(opened)
            for _ in range(1002):
                await tokens.issue(Grant("ada", "demo", frozenset(), 60.0))

    asyncio.run(fill())
    done = run("token", "list", "--store", store)
    assert done.stdout.count(" ada ") == 1000
    assert "the first 1000" in done.stderr
    assert len(listed(store)) == 1002


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        pytest.param(["issue"], 2, "--principal", id="nobody"),
        pytest.param(["issue", "--principal", "a\nb"], 1, "--principal: expected", id="two lines"),
        pytest.param(["issue", "--principal", ""], 1, "--principal: expected", id="no name"),
        pytest.param(
            ["issue", "--principal", "a", "--client", "\x1b[2J"], 1, "--client: exp", id="client"
        ),
        pytest.param(["issue", "--principal", "a", "--scope", 'a"b'], 1, "--scope: ex", id="scope"),
        pytest.param(["issue", "--principal", "a", "--ttl", "2d"], 1, "86400 seconds", id="life"),
        pytest.param(["revoke"], 1, "not both", id="revoke whose"),
        pytest.param(["revoke", "x", "--principal", "a"], 1, "not both", id="revoke two"),
        pytest.param(["revoke", "x"], 1, "no such token", id="revoke nothing"),
        pytest.param(["revoke", "--principal", "x"], 1, "no such token", id="of nobody"),
        pytest.param(["revoke", "-"], 1, "no such token", id="nothing on standard input"),
        pytest.param(["revoke", "gwt_x"], 1, "on the command line", id="a secret as an argument"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    store: str, arguments: list[str], code: int, why: str
) -> None:
    issued(store, "--principal", "ada")
    done = run("token", *arguments, "--store", store)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert len(listed(store)) == 1


@pytest.mark.parametrize("command", [["list"], ["issue", "--principal", "a"], ["revoke", "x"]])
def test_a_memory_store_is_seen_by_its_own_process_alone(command: list[str]) -> None:
    done = run("token", *command, "--store", "memory:")
    assert done.returncode == 1
    assert "another: use sqlite" in done.stderr
