"""`gateway key`, on stores that a gateway shares."""

import asyncio
import json
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from gateway.auth.secrets import API_KEY, is_secret
from gateway.stores.opening import open_store
from tests.integration.keys.conftest import OpenKeys
from tests.support.command_line import Done, run
from tests.support.polling import first


@pytest.fixture
def store(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/gateway.db"


def created(store: str, *arguments: str) -> Any:
    done = run("key", "create", "--json", "--store", store, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def listed(store: str) -> list[Any]:
    done = run("key", "list", "--json", "--store", store)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


async def in_thread(*arguments: str, stdin: str = "") -> Done:
    """A command beside a gateway that serves in this process."""
    return await asyncio.to_thread(run, *arguments, stdin=stdin)


async def test_a_running_gateway_takes_a_key_from_its_creation_to_its_end(
    open_keys: OpenKeys, shared_store: str
) -> None:
    gateway = await open_keys(shared_store)
    made = await in_thread(
        "key", "create", "--owner", "acme", "--scope", "read", "--store", shared_store
    )
    old = made.stdout.strip()
    seen = await gateway.seen(f"X-API-Key: {old}")
    assert (seen["x-principal"], seen["x-principal-scopes"]) == ("acme", "read")

    (record,) = [one async for one in gateway.keys.list_all()]
    rotated = await in_thread(
        "key", "rotate", record.id, "--overlap", "1h", "--store", shared_store
    )
    new = rotated.stdout.strip()
    for key in (old, new):
        assert (await gateway.call(key)).status == 200

    revoked = await in_thread("key", "revoke", record.id, "--store", shared_store)
    assert (revoked.returncode, revoked.stdout) == (0, "")
    for key in (old, new):
        await first(partial(gateway.call, key), lambda answer: answer.status == 401, within_s=5)


def test_a_key_is_printed_alone_so_that_scripts_can_keep_it(store: str) -> None:
    done = run("key", "create", "--owner", "acme", "--store", store)
    assert done.returncode == 0
    assert is_secret(done.stdout.removesuffix("\n"), API_KEY)
    assert "key-" in done.stderr
    assert "cannot show it again" in done.stderr
    assert done.stdout.strip() not in done.stderr


def test_a_key_has_what_was_asked_for(store: str) -> None:
    networks = ["--network", "10.0.0.0/8", "--network", "::1"]
    scopes = ["--scope", "read", "--scope", "write admin"]
    made = created(store, "--owner", "acme", "--ttl", "90d", *networks, *scopes)
    assert made["owner"] == "acme"
    assert made["scopes"] == ["admin", "read", "write"]
    assert made["networks"] == ["10.0.0.0/8", "::1"]
    assert made["last_used_at"] is None
    expires = datetime.fromisoformat(made["expires_at"])
    assert 89.9 < (expires - datetime.now(UTC)).total_seconds() / 86_400 <= 90
    del made["key"]
    assert listed(store) == [made]


def test_no_list_shows_a_secret(store: str) -> None:
    made = [created(store, "--owner", owner) for owner in ("acme", "bob")]
    table = run("key", "list", "--store", store)
    lines = run("key", "list", "--json", "--store", store)
    for one in made:
        assert one["key"] not in table.stdout + lines.stdout
        assert one["key"][4:20] not in table.stdout + lines.stdout
        assert one["id"] in table.stdout


def test_the_table_shows_who_what_where_and_until_when(store: str) -> None:
    made = created(store, "--owner", "acme", "--scope", "read", "--ttl", "1")
    created(store, "--owner", "bob", "--network", "10.0.0.0/8")
    time.sleep(1.1)
    table = run("key", "list", "--store", store).stdout
    head, *rows = table.splitlines()
    assert head.split()[:6] == ["id", "owner", "scopes", "networks", "created", "expires"]
    assert len(rows) == 2
    acme = next(row for row in rows if made["id"] in row)
    bob = next(row for row in rows if "bob" in row)
    assert "(expired)" in acme
    assert "anywhere" in acme
    assert bob.split().count("never") == 2
    assert "10.0.0.0/8" in bob


def test_a_rotated_key_keeps_all_but_its_secret(store: str) -> None:
    made = created(store, "--owner", "acme", "--scope", "read", "--ttl", "1d")
    done = run("key", "rotate", made["id"], "--json", "--store", store)
    rotated = json.loads(done.stdout)
    assert rotated["key"] != made["key"]
    assert {**rotated, "key": ""} == {**made, "key": ""}


def test_an_expired_key_that_is_rotated_is_still_expired_and_its_owner_is_told(store: str) -> None:
    made = created(store, "--owner", "acme", "--ttl", "0.001s")
    done = run("key", "rotate", made["id"], "--store", store)
    assert done.returncode == 0
    assert "warning: this key has expired" in done.stderr


def test_a_key_that_leaked_can_be_ended_without_its_id(store: str) -> None:
    made = created(store, "--owner", "acme")
    done = run("key", "revoke", "-", "--store", store, stdin=f"{made['key']}\n")
    assert done.returncode == 0
    assert done.stderr == f"gateway: revoked {made['id']}\n"
    assert listed(store) == []


@pytest.mark.parametrize(
    "owner",
    ["x'; DROP TABLE api_keys; --", "[bold red]ada[/]", '"quoted"', "Ann's Büro", "--store"],
)
def test_an_owner_is_shown_as_it_was_written(store: str, owner: str) -> None:
    created(store, f"--owner={owner}")
    assert [one["owner"] for one in listed(store)] == [owner]
    assert owner in run("key", "list", "--store", store).stdout


def test_a_name_that_came_another_way_commands_no_terminal(store: str) -> None:
    made = created(store, "--owner", "acme")

    async def rename() -> None:
        async with open_store(store) as opened:
            (record,) = [one async for one in opened.list_keys()]
            await opened.revoke_key(record.id)
            forged = record.__class__(
                record.digest, record.id, "ada\x1b[2J\nforged", frozenset(), record.created_at_s
            )
            await opened.add_key(forged)

    asyncio.run(rename())
    done = run("key", "list", "--store", store)
    assert "\x1b" not in done.stdout
    assert r"ada\x1b[2J\nforged" in done.stdout
    assert len(done.stdout.splitlines()) == 2
    assert made["id"] in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "why"),
    [
        pytest.param(["create", "--owner", ""], 1, "--owner: expected", id="no owner"),
        pytest.param(["create", "--owner", "a\nb"], 1, "--owner: expected", id="two lines"),
        pytest.param(["create"], 2, "--owner", id="nobody"),
        pytest.param(["create", "--owner", "a", "--scope", "ü"], 1, "--scope: exp", id="scope"),
        pytest.param(
            ["create", "--owner", "a", "--network", "10.0.0.1/8"], 1, "--network: exp", id="network"
        ),
        pytest.param(["create", "--owner", "a", "--ttl", "soon"], 2, "such as 30s", id="duration"),
        pytest.param(["create", "--owner", "a", "--ttl", "0"], 2, "above 0", id="no life"),
        pytest.param(["create", "--owner", "a", "--ttl", "-1d"], 2, "such as 30s", id="past"),
        pytest.param(["rotate", "key-x"], 1, "no such key", id="rotate nothing"),
        pytest.param(["rotate", "key-x", "--overlap", "1y"], 2, "such as 30s", id="overlap"),
        pytest.param(["revoke", "key-x"], 1, "no such key", id="revoke nothing"),
        pytest.param(["revoke", "' OR 1=1 --"], 1, "no such key", id="SQL"),
        pytest.param(["revoke", "-"], 1, "no such key", id="nothing on standard input"),
        pytest.param(["revoke", "gwk_x"], 1, "on standard input", id="a secret as an argument"),
        pytest.param(["rotate", "gwk_x"], 1, "on the command line", id="and to rotate"),
    ],
)
def test_what_cannot_be_done_is_one_clear_line(
    store: str, arguments: list[str], code: int, why: str
) -> None:
    created(store, "--owner", "acme")
    done = run("key", *arguments, "--store", store)
    assert (done.returncode, done.stdout) == (code, "")
    assert why in done.stderr
    assert "Traceback" not in done.stderr
    assert code == 2 or len(done.stderr.splitlines()) == 1
    assert [one["owner"] for one in listed(store)] == ["acme"]


@pytest.mark.parametrize("command", [["list"], ["create", "--owner", "a"], ["revoke", "key-x"]])
@pytest.mark.parametrize(
    ("url", "why"),
    [
        pytest.param(None, "give --store", id="none"),
        pytest.param("memory:", "another: use sqlite", id="in another process"),
        pytest.param("mysql://u:s3cret@h/d", "no such store", id="unknown"),
        pytest.param("redis://:s3cret@127.0.0.1:1/0", "unavailable: redis", id="down"),
        pytest.param("sqlite:////nowhere/at/all.db", "unavailable: the file", id="no place"),
    ],
)
def test_without_a_store_to_share_there_is_nothing_to_do(
    command: list[str], url: str | None, why: str
) -> None:
    where = [] if url is None else ["--store", url]
    done = run("key", *command, *where)
    assert (done.returncode, done.stdout) == (1, "")
    assert why in done.stderr
    assert "s3cret" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_password_belongs_into_the_environment(store: str) -> None:
    url = "redis://:s3cret@127.0.0.1:1/0"
    assert "put its URL into GATEWAY_AUTH__STORE" in run("key", "list", "--store", url).stderr
    quiet = run("key", "list", GATEWAY_AUTH__STORE=url)
    assert "warning" not in quiet.stderr
    assert "unavailable" in quiet.stderr
    assert run("key", "list", GATEWAY_AUTH__STORE=store).returncode == 0


def test_the_store_is_the_settings_own(tmp_path: Path, store: str) -> None:
    made = created(store, "--owner", "acme")
    settings = tmp_path / "settings.yaml"
    settings.write_text(f"auth: {{store: '{store}'}}\n")
    done = run("key", "list", "--json", "--config", str(settings))
    assert json.loads(done.stdout)["id"] == made["id"]


def test_a_key_that_no_gateway_of_these_settings_takes_is_made_with_a_warning(store: str) -> None:
    create = ["key", "create", "--owner", "acme", "--store", store]
    assert "warning" not in run(*create).stderr
    assert "auth.order does not contain key" in run(*create, GATEWAY_AUTH__ORDER="[token]").stderr


def test_only_its_owner_can_read_the_file(tmp_path: Path, store: str) -> None:
    created(store, "--owner", "acme")
    assert (tmp_path / "gateway.db").stat().st_mode & 0o077 == 0
