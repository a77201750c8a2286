"""What the admin listener asks a process that serves: the schema, the API, keys and tokens."""

import asyncio
import json
import sqlite3
import sys
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.command_line import run
from tests.support.polling import first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


async def order(admin: Path, path: str, body: Any) -> tuple[int, Any]:
    status, text = await ask(admin, path, "POST", JSON, body=json.dumps(body))
    return status, json.loads(text)


async def call(gateway: Served, key: str) -> int:
    lines = ("Connection: close", f"X-API-Key: {key}")
    return (await ask(gateway.port, "/v1/echo/a", "GET", *lines))[0]


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_operators_manage_keys_and_tokens_and_read_the_schema(
    tmp_path: Path, workers: int
) -> None:
    admin, store = tmp_path / "admin.sock", f"sqlite:///{tmp_path}/store.db"
    settings = {
        "ADMIN__LISTEN": f"unix:{admin}",
        "AUTH__STORE": store,
        "AUTH__ORDER": "[token, key]",
        "LOG__AUDIT": tmp_path / "audit.log",
    }
    async with served(tmp_path, workers, settings=settings) as gateway:
        status, made = await order(admin, "/keys", {"owner": "ada", "ttl_s": 3600})
        assert (status, made["owner"], made["scopes"]) == (200, "ada", [])
        assert await call(gateway, made["key"]) == 200
        (listed,) = (await ask_json(admin, "/keys"))["keys"]
        assert listed["id"] == made["id"]
        assert "key" not in listed
        status, new = await order(admin, "/keys/rotate", {"id": made["id"], "overlap_s": 60})
        assert (status, new["id"]) == (200, made["id"])
        assert [await call(gateway, one["key"]) for one in (made, new)] == [200, 200]
        assert (await order(admin, "/keys/revoke", {"id": made["id"]}))[0] == 200
        assert (await order(admin, "/keys/revoke", {"id": made["id"]}))[0] == 404
        assert (await ask_json(admin, "/keys"))["keys"] == []

        flags = ("--principal", "ada", "--store", store)
        issued = await asyncio.to_thread(run, "token", "issue", *flags)
        assert issued.returncode == 0, issued.stderr
        assert (await order(admin, "/tokens/revoke", {"principal": "ada"})) == (200, {"revoked": 1})
        token = issued.stdout.strip()
        status, refused = await order(admin, "/tokens/revoke", {"id": token})
        assert (status, refused["error"]["status"]) == (400, "INVALID_ARGUMENT")
        for path, body in (
            ("/keys", {"owner": ""}),
            ("/keys", {"owner": "ada", "ttl_s": -1}),
            ("/keys", {"owner": "ada", "networks": ["10.0.0.1/8"]}),
            ("/keys", {"owner": "ada", "extra": 1}),
            ("/keys/rotate", {"id": 7}),
            ("/tokens/revoke", {}),
        ):
            assert (await order(admin, path, body))[0] == 400, (path, body)
        assert (await ask(admin, "/keys", "POST", body="{}"))[0] == 415

        document = await ask_json(admin, "/openapi.json")
        assert "/v1/echo/{text}" in document["paths"]
        audit = (tmp_path / "audit.log").read_text()
        assert '"key.revoked"' in audit
        assert '"POST /keys/rotate"' in audit
        for secret in (made["key"], new["key"], token):
            assert secret not in audit
            assert secret not in gateway.said


async def test_the_schema_is_a_set_of_descriptors(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}):
        reader, writer = await asyncio.open_unix_connection(admin)
        writer.write(b"GET /schema HTTP/1.1\r\nHost: localhost\r\n\r\n")
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
        assert b"application/x-protobuf" in head
        found = FileDescriptorSet.FromString(body)
        assert "echo.v1" in {file.package for file in found.file}
        assert (await order(admin, "/keys", {"owner": "ada"}))[0] == 400
        assert "auth.store" in (await ask(admin, "/keys"))[1]


async def test_a_store_that_fails_is_named(tmp_path: Path) -> None:
    admin, file = tmp_path / "admin.sock", tmp_path / "store.db"
    settings = {
        "ADMIN__LISTEN": f"unix:{admin}",
        "AUTH__STORE": f"sqlite:///{file}",
        "AUTH__ORDER": "[key]",
    }
    async with served(tmp_path, settings=settings):
        assert (await ask(admin, "/keys"))[0] == 200
        with sqlite3.connect(file) as broken:
            broken.execute("DROP TABLE api_keys")
        status, text = await ask(admin, "/keys")
        assert status == 503
        assert "the store is unavailable" in text


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_a_reset_holds_in_every_process(tmp_path: Path, workers: int) -> None:
    admin = tmp_path / "admin.sock"
    limits = '[{"limit": 1, "window_s": 3600, "by": "address"}]'
    settings = {
        "ADMIN__LISTEN": f"unix:{admin}",
        "LOG__AUDIT": tmp_path / "audit.log",
        "POLICIES": f'[{{"selector": "echo.v1.*", "rate_limits": {limits}}}]',
    }

    async def until_limited(gateway: Served) -> int:
        """Returns how many calls passed until each process had refused some."""
        statuses: list[int] = []
        while statuses[-40:] != [429] * 40:
            answer = await ask(gateway.port, "/v1/echo/a", "GET", "Connection: close")
            statuses.append(answer[0])
        assert set(statuses) <= {200, 429}
        return statuses.count(200)

    async with served(tmp_path, workers, settings=settings) as gateway:
        await first(
            lambda: ask_json(admin, "/status"),
            lambda found: found["workers"]["serving"] == workers,
            within_s=30.0,
        )
        assert await until_limited(gateway) == workers
        status, told = await order(admin, "/limits/reset", {"address": "127.0.0.2"})
        assert (status, told) == (200, {"reset": "127.0.0.2"})
        assert await until_limited(gateway) == 0
        for body in ({"address": "127.0.0.1"}, {"all": True}):
            assert (await order(admin, "/limits/reset", body))[0] == 200
            assert await until_limited(gateway) == workers
        for wrong in ({}, {"all": False}, {"address": "x"}, {"principal": "a", "key": "b"}):
            status, refused = await order(admin, "/limits/reset", wrong)
            assert (status, refused["error"]["status"]) == (400, "INVALID_ARGUMENT"), wrong
        assert '"POST /limits/reset"' in (tmp_path / "audit.log").read_text()
