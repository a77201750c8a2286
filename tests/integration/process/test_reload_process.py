"""Reloads that change the process: its addresses, TLS, the number of workers, and its logs."""

import asyncio
import json
import re
import socket
import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from tests.integration.process.test_admin import ask, ask_json
from tests.integration.process.test_drain import Served, answered, both, served, workers_of
from tests.integration.process.test_reload import REPEAT, Reloadable, status_of
from tests.support.command_line import run
from tests.support.polling import first, until
from tests.support.redis_server import free_port
from tests.support.tls import Files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs SO_REUSEPORT balancing"),
]


_EVERY_S = 0.02
"""The pause between the requests of a client, so that workers can start on a small machine."""


class Place(Reloadable):
    """Settings in a file alone: flags would win over it."""

    def put(self, **settings: object) -> None:
        """Writes settings with an admin listener."""
        self.write(json.dumps({"admin": {"listen": f"unix:{self.admin}"}} | settings))


async def is_refused(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except ConnectionRefusedError:
        return True
    writer.close()
    return False


@both
async def test_addresses_move_and_what_is_under_way_there_ends_well(
    tmp_path: Path, workers: int
) -> None:
    place = Place(tmp_path)
    before, after = free_port(), free_port()
    old, new = place.admin, tmp_path / "new.sock"
    place.put(listen=f"127.0.0.1:{before}", workers=workers)
    async with served(tmp_path, None, *place.flags) as gateway, AsyncExitStack() as stack:
        await place.all_serve(workers)
        kept, late = await gateway.connect(stack), await gateway.connect(stack)
        await answered(kept, "/v1/echo/first")
        await late.send("GET /v1/echo:sleep?duration=2s HTTP/1.1\r\nHost: a\r\n\r\n")
        moved = {"listen": f"127.0.0.1:{after}", "workers": workers}
        place.put(**moved)
        with socket.create_server(("127.0.0.1", after)):
            status, answer = await place.reload()
            assert status == 400
            assert answer["error"]["message"].startswith(
                f"cannot listen on 127.0.0.1:{after}: the port is taken"
            )
        place.put(**moved, admin={"listen": f"unix:{tmp_path}/none/a.sock"})
        status, answer = await place.reload()
        assert (status, "none/a.sock: expected a path" in answer["error"]["message"]) == (400, True)
        assert await is_refused(after)
        if workers == 1:
            place.put(**moved | {"workers": 2})
            status, answer = await place.reload()
            assert answer["error"]["message"].startswith("workers: one process cannot change this")
        assert await status_of(gateway, "/v1/echo/a") == 200

        place.put(**moved, admin={"listen": f"unix:{new}"}, reload={"watch": True})
        lines = [
            f"~ listen 127.0.0.1:{before} -> 127.0.0.1:{after}",
            f"~ admin.listen unix:{old} -> unix:{new}",
            "~ reload.watch false -> true",
        ]
        tried = await asyncio.to_thread(run, "reload", "--dry-run", "--admin", f"unix:{old}")
        assert tried.stdout.splitlines()[:3] == lines, tried.stdout + tried.stderr
        assert await is_refused(after)
        assert not new.exists()
        status, done = await place.reload()
        assert (status, done["generation"], done["settings"]) == (200, 2, lines), done
        await first(lambda: is_refused(before), bool)
        assert (await answered(kept, "/v1/echo/last")).header("Connection") == "close"
        assert (await late.answer()).status == 200
        gateway.port = after
        assert await status_of(gateway, "/v1/echo/a") == 200
        found = await ask_json(new, "/status")
        assert (found["listen"], found["generation"]) == (f"http://127.0.0.1:{after}", 2)
        assert not old.exists()
        place.put(**moved, admin={"listen": f"unix:{new}"}, cors={"origins": ["https://a.example"]})
        await first(
            lambda: ask_json(new, "/status"), lambda found: found["generation"] == 3, within_s=20
        )


class Clients:
    """Requests on kept and on new connections, and streams; every one must be answered."""

    def __init__(self, gateway: Served, stack: AsyncExitStack) -> None:
        self._gateway = gateway
        self._stack = stack
        self.is_over = False
        self.done = self.moved = 0
        self.all = asyncio.gather(*(one() for one in (self._keep, self._keep, self._new) * 2))
        self.streams = asyncio.gather(self._stream(), self._stream())

    async def _keep(self) -> None:
        client = await self._gateway.connect(self._stack)
        while not self.is_over:
            await asyncio.sleep(_EVERY_S)
            self.done += 1
            if (await answered(client, "/v1/echo/kept")).header("Connection") == "close":
                self.moved += 1
                client = await self._gateway.connect(self._stack)

    async def _new(self) -> None:
        while not self.is_over:
            await asyncio.sleep(_EVERY_S)
            self.done += 1
            assert await status_of(self._gateway, "/v1/echo/new") == 200

    async def _stream(self) -> None:
        while not self.is_over:
            client = await self._gateway.connect(self._stack)
            await client.send(REPEAT.format("3&interval=0.2s"))
            answer = await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert answer.count(b'"x"') == 3, answer
            client.writer.close()


async def counted(admin: Path) -> float:
    """The number of requests that the metrics have."""
    _, text = await ask(admin, "/metrics")
    found = re.findall(r"^http_server_request_duration_seconds_count{.* (\S+)$", text, re.MULTILINE)
    return sum(map(float, found))


async def test_the_number_of_workers_and_their_logs_change_and_no_request_is_lost(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path)
    settings = {"listen": f"127.0.0.1:{free_port()}"}
    place.put(**settings, workers=1, supervisor={"always": True})
    async with served(tmp_path, None, *place.flags) as gateway, AsyncExitStack() as stack:
        await place.all_serve(1)
        clients = Clients(gateway, stack)
        await first(lambda: asyncio.sleep(0, clients.done), lambda done: done > 50)
        for generation, (workers, more) in enumerate(
            [
                (2, {}),
                (1, {"log": {"events": str(tmp_path / "events.log")}, "health": {"path": "/up"}}),
            ],
            2,
        ):
            place.put(**settings, workers=workers, **more)
            status, done = await place.reload()
            assert (status, done.get("generation")) == (200, generation), done
            found = (await ask_json(place.admin, "/workers"))["workers"]
            assert [one["state"] for one in found] == ["serving"] * workers
        clients.is_over = True
        await clients.all
        await clients.streams
        assert clients.moved >= 4
        print(f"{clients.done} requests, {clients.moved} connections opened again")
        events = tmp_path / "events.log"
        await until(lambda: "gateway.reloaded" in events.read_text())  # a thread writes it
        assert await status_of(gateway, "/up") == 200
        # A worker adds its counts to those of all within a moment; no counter has fallen.
        await first(lambda: counted(place.admin), lambda requests: requests >= clients.done)
        _, text = await ask(place.admin, "/metrics")
        assert 'gateway_reloads_total{outcome="applied"} 2' in text


async def test_tls_begins_on_an_address_that_widens(tmp_path: Path) -> None:
    place, port = Place(tmp_path), free_port()
    files = Files(tmp_path)
    place.put(listen=f"127.0.0.1:{port}", supervisor={"always": True})
    async with served(tmp_path, None, *place.flags) as gateway:
        await place.all_serve(1)
        assert await status_of(gateway, "/v1/echo/a") == 200
        pids = workers_of(gateway.process.pid)
        none = tmp_path / "none" / "events.log"
        place.put(listen=f"0.0.0.0:{port}", log={"events": str(none)}, workers=2)
        status, answer = await place.reload()
        assert (status, str(none) in answer["error"]["message"]) == (400, True), answer
        assert workers_of(gateway.process.pid) == pids, "those that could not start are gone"
        wide: dict[str, object] = {"listen": f"0.0.0.0:{port}", "supervisor": {"always": True}}
        wide["tls"] = files.settings()
        place.put(**wide)
        status, done = await place.reload()
        assert (status, done["settings"][:2]) == (
            200,
            [f"~ listen 127.0.0.1:{port} -> 0.0.0.0:{port}", "~ tls"],
        ), done
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=files.context())
        writer.write(b"GET /v1/echo/a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        assert b" 200 OK\r\n" in await reader.read()
        writer.close()
        place.put(**wide, auth={"store": "memory:"}, health={"path": "/up"})
        status, answer = await place.reload()
        assert answer["error"]["message"].startswith("auth.store: memory: is the memory of one")
