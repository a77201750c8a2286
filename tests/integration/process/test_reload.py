"""The reload of a real gateway, by SIGHUP, by the admin listener and by `gateway reload`."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import JSON, ask, ask_json
from tests.integration.process.test_drain import Served, answered, served
from tests.support.command_line import run
from tests.support.http import RawClient
from tests.support.polling import first, until
from tests.support.schema import descriptor_set

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
both = pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])


class Reloadable:
    """The places of a gateway whose settings change."""

    def __init__(self, place: Path) -> None:
        self.settings = place / "settings.yaml"
        self.admin = place / "admin.sock"
        self.events = place / "events.log"
        self.environment = {
            "ADMIN__LISTEN": f"unix:{self.admin}",
            "LOG__EVENTS": str(self.events),
        }
        self.write("")

    def write(self, text: str) -> None:
        self.settings.write_text(text or "{}")

    @property
    def flags(self) -> tuple[str, ...]:
        return "--config", str(self.settings)

    async def all_serve(self, workers: int) -> None:
        await first(
            lambda: ask_json(self.admin, "/status"),
            lambda found: found["workers"]["serving"] == workers,
            within_s=40,
        )

    async def reload(self, body: str = "") -> tuple[int, Any]:
        status, text = await ask(self.admin, "/reload", "POST", JSON, body=body)
        return status, json.loads(text)


async def status_of(gateway: Served, path: str) -> int:
    return (await ask(gateway.port, path, "GET", "Connection: close"))[0]


EXCLUDED = 'routing: {exclude: ["echo.v1.EchoService.Echo"]}\n'


@both
async def test_a_reload_changes_the_routes_and_says_which(tmp_path: Path, workers: int) -> None:
    place = Reloadable(tmp_path)
    async with served(tmp_path, workers, *place.flags, settings=place.environment) as gateway:
        await place.all_serve(workers)
        place.write(EXCLUDED)
        status, tried = await place.reload('{"dry_run": true}')
        assert (status, tried["dry_run"]) == (200, True)
        assert "- GET /v1/echo/{text}: echo.v1.EchoService.Echo" in tried["changes"]
        assert await status_of(gateway, "/v1/echo/a") == 200

        status, done = await place.reload()
        assert (status, done["generation"], done["changes"]) == (200, 2, tried["changes"])
        assert [await status_of(gateway, "/v1/echo/a") for _ in range(8)] == [404] * 8
        routes = (await ask_json(place.admin, "/routes"))["routes"]
        assert "/v1/echo/{text}" not in [route["path"] for route in routes]
        assert (await ask_json(place.admin, "/config"))["routing"]["exclude"]

        place.write("")
        shown = await asyncio.to_thread(run, "reload", "--admin", f"unix:{place.admin}")
        assert shown.returncode == 0, shown.stderr
        assert "+ GET /v1/echo/{text}: echo.v1.EchoService.Echo\n" in shown.stdout
        assert "reloaded, generation 3: 8 routes" in shown.stdout
        assert [await status_of(gateway, "/v1/echo/a") for _ in range(8)] == [200] * 8

        # Never two at once: workers reload for each of those that come together, and one process
        # for all that come while one waits.
        found = await asyncio.gather(*(place.reload() for _ in range(4)))
        numbers = [done["generation"] for _, done in found]
        assert set(numbers) == set(range(4, max(numbers) + 1))
        assert workers == 1 or len(set(numbers)) == 4
        for _ in range(20):
            gateway.process.send_signal(signal.SIGHUP)
        # Signals that come while one waits ask for the same settings, so they are one.
        assert (await place.reload())[1]["generation"] < 8 + 20


def place_of(text: str) -> int:
    """The line of the echo service's file that begins so."""
    lines = Path("protos/echo/v1/echo.proto").read_text().splitlines()
    return next(number for number, line in enumerate(lines, 1) if line.startswith(text))


@both
async def test_a_reload_names_what_breaks_clients_and_refuses_it_where_that_is_set(
    tmp_path: Path, workers: int
) -> None:
    place = Reloadable(tmp_path)
    breaking = (
        f"! breaking path-removed: echo/v1/echo.proto:{place_of('  rpc Echo(')}: "
        "GET /v1/echo/{text}: removed: requests to it are answered with 404 or 405"
    )
    async with served(tmp_path, workers, *place.flags, settings=place.environment) as gateway:
        await place.all_serve(workers)
        for refuse, start in (("breaking", breaking), ("removed-routes", "- GET /v1/echo/{text}")):
            place.write(f"{EXCLUDED}reload: {{refuse: {refuse}}}\n")
            status, answer = await place.reload()
            assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
            assert f"reload.refuse: {refuse}: {start}" in answer["error"]["message"]
        assert await status_of(gateway, "/v1/echo/a") == 200
        place.write(EXCLUDED)
        tried = await asyncio.to_thread(
            run, "reload", "--dry-run", "--admin", f"unix:{place.admin}"
        )
        assert tried.stdout.startswith(f"{breaking}\n"), tried.stdout + tried.stderr
        status, done = await place.reload()
        assert (status, done["changes"][0]) == (200, breaking)
        await until(lambda: '"gateway.reload.finding"' in place.events.read_text())
        lines = [json.loads(line) for line in place.events.read_text().splitlines()]
        found = [one for one in lines if one.get("event.name") == "gateway.reload.finding"]
        assert (found[0]["severity_text"], found[0]["body"]) == ("WARN", breaking)
        # Counted once, however many workers there are, and not if it was only tried.
        _, text = await ask(place.admin, "/metrics")
        counts = re.findall(r'gateway_reloads_total{outcome="(\w+)"} (\S+)', text)
        assert sorted(counts) == [("applied", "1.0"), ("refused", "2.0")]


BAD = {
    "services: [": "is not YAML",
    "lisen: x": "lisen",
    "auth: {store: 'nothing://x'}": "no such store",
    "service_config: [/none.yaml]": "/none.yaml",
    'policies: [{selector: "echo.v1.EchoService.Nothing", anonymous: true}]': "Nothing",
}


@both
async def test_bad_settings_change_nothing_and_are_explained(tmp_path: Path, workers: int) -> None:
    place = Reloadable(tmp_path)
    async with served(tmp_path, workers, *place.flags, settings=place.environment) as gateway:
        await place.all_serve(workers)
        for text, reason in [*BAD.items()] * 20:
            place.write(text)
            status, answer = await place.reload()
            assert (status, answer["error"]["status"]) == (400, "FAILED_PRECONDITION")
            assert reason in answer["error"]["message"]
            assert await status_of(gateway, "/v1/echo/a") == 200
        told = await asyncio.to_thread(run, "reload", "--admin", f"unix:{place.admin}")
        assert told.returncode == 1
        assert "Nothing" in told.stderr
        await until(lambda: place.events.read_text().count('"gateway.reload.refused"') >= 101)
        place.write("")
        status, done = await place.reload()
        assert (status, done["generation"], done["changes"]) == (200, 2, [])


@both
async def test_a_change_of_the_file_is_a_reload_where_that_is_set(
    tmp_path: Path, workers: int
) -> None:
    place = Reloadable(tmp_path)
    settings = {**place.environment, "RELOAD__WATCH": "true"}
    async with served(tmp_path, workers, *place.flags, settings=settings) as gateway:
        await place.all_serve(workers)
        place.write(EXCLUDED)
        await first(partial(status_of, gateway, "/v1/echo/a"), lambda it: it == 404, within_s=30)
        place.write("lisen: x")
        await until(lambda: "gateway.reload.refused" in place.events.read_text(), within_s=30)
        assert await status_of(gateway, "/v1/echo/a") == 404
        place.write("")
        await first(partial(status_of, gateway, "/v1/echo/a"), lambda it: it == 200, within_s=30)


SHOP = """syntax = "proto3";
package shop.v1;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
service Shop {
  rpc Get(Ask) returns (Thing) { option (google.api.http) = {get: "/v1/{name=things/*}"}; }
  rpc List(Ask) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }
}
message Ask {
  string name = 1;
  string note = 2;
}
message Thing {
  int32 size = 1;
  string label = 2;
}
"""
BROKEN = {
    '  rpc List(Ask) returns (Thing) { option (google.api.http) = {get: "/v1/things"}; }\n': "",
    "string note = 2": "string note = 2 [(google.api.field_behavior) = REQUIRED]",
    "int32 size": "string size",
    "  string label = 2;\n": "",
}
"""The edits that break clients; they move the lines below the first up by one."""
FINDINGS = {
    "path-removed: shop.proto:7, before: GET /v1/things: removed: requests",
    "request-parameter-became-required: shop.proto:6: query parameter note in GET /v1/things/{",
    "response-type-changed: shop.proto:13: shop.v1.Thing.size in GET /v1/things/{thing}: type ",
    "response-property-removed: shop.proto:12: shop.v1.Thing.label in GET /v1/things/{thing}: r",
}


async def test_a_watched_descriptor_set_that_breaks_clients_is_refused_with_each_reason(
    tmp_path: Path,
) -> None:
    place, descriptors, broken = Reloadable(tmp_path), tmp_path / "api.binpb", SHOP
    for before, after in BROKEN.items():
        broken = broken.replace(before, after)
    whole = descriptor_set(shop=SHOP).SerializeToString()
    descriptors.write_bytes(whole)
    flags = (*place.flags, "--descriptors", str(descriptors), "--service", "shop.v1.*")
    settings = {**place.environment, "RELOAD__WATCH": "true", "RELOAD__REFUSE": "breaking"}
    async with served(tmp_path, 1, *flags, settings=settings) as gateway:
        descriptors.write_bytes(whole[: len(whole) // 2])
        await until(lambda: "gateway.reload.refused" in place.events.read_text(), within_s=30)
        assert str(descriptors) in place.events.read_text()
        descriptors.write_bytes(descriptor_set(shop=broken).SerializeToString())
        await until(lambda: "! breaking" in place.events.read_text(), within_s=30)
        told = await asyncio.to_thread(run, "reload", "--admin", f"unix:{place.admin}")
        assert told.returncode == 1
        for said in (place.events.read_text(), told.stderr):
            assert {one for one in FINDINGS if f"! breaking {one}" in said} == FINDINGS, said
            assert set(re.findall(r"! breaking ([a-z-]+)", said)) == {
                one.partition(":")[0] for one in FINDINGS
            }
        assert await status_of(gateway, "/v1/echo/a") == 200
        descriptors.write_bytes(whole)
        status, done = await place.reload()
        assert (status, done["changes"]) == (200, [])


def has_origin(origin: str, config: Any) -> bool:
    return origin in config["cors"]["origins"]


def open_files(pids: list[int]) -> int:
    return sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in pids)


REPEAT = (
    "GET /v1/echo/x:repeat?count={} HTTP/1.1\r\nHost: a\r\nAccept: application/x-ndjson\r\n\r\n"
)
CUT = re.compile(rb'\{"error":.*"UNAVAILABLE".*\}\n\r\n0\r\n\r\n$', re.DOTALL)
REQUESTS_A_SECOND = 500
KEPT, NEW, STREAMS = 5, 3, 4


class Load:
    """500 requests a second on kept and on new connections, and streams, one after another."""

    def __init__(self, gateway: Served, kept: list[RawClient], stack: AsyncExitStack) -> None:
        self._gateway = gateway
        self._stack = stack
        self._is_over = asyncio.Event()
        self._over_s = 0.0
        self.done = self.reloads = self.reloaded_streams = 0
        asks = [partial(answered, one, "/v1/echo/kept") for one in kept] + [self._new] * NEW
        every_s = len(asks) / REQUESTS_A_SECOND
        self._asking = asyncio.gather(*(self._ask(ask, every_s) for ask in asks))
        self._streaming = asyncio.gather(*(self._stream() for _ in range(STREAMS)))

    async def end(self) -> None:
        """Waits for the answers to all requests that were due until now."""
        self._over_s = time.monotonic()
        self._is_over.set()
        await self._asking
        await self._streaming

    async def _new(self) -> None:
        assert await status_of(self._gateway, "/v1/echo/new") == 200

    async def _ask(self, ask: Callable[[], Awaitable[object]], every_s: float) -> None:
        # What a slow answer held up is sent as soon as it can be, so that the rate is kept.
        due_s = time.monotonic()
        while not self._is_over.is_set() or due_s < self._over_s:
            await asyncio.sleep(due_s - time.monotonic())
            await ask()
            self.done += 1
            due_s += every_s

    async def _stream(self) -> None:
        # Each lasts for a part of a reload: one that a reload must end delays it by a second.
        client = await self._gateway.connect(self._stack)
        while not self._is_over.is_set():
            await client.send(REPEAT.format("3&interval=0.05s"))
            reloads = self.reloads
            answer = await client.reader.readuntil(b"\r\n0\r\n\r\n")
            assert answer.count(b'"x"') == 3, answer
            self.reloaded_streams += reloads != self.reloads


@both
async def test_twenty_reloads_under_load_lose_nothing(tmp_path: Path, workers: int) -> None:
    place = Reloadable(tmp_path)
    settings = {**place.environment, "LOG__ACCESS": "off"}
    async with (
        served(tmp_path, workers, *place.flags, settings=settings) as gateway,
        AsyncExitStack() as stack,
    ):
        await place.all_serve(workers)
        found = (await ask_json(place.admin, "/workers"))["workers"]
        pids = [worker["pid"] for worker in found]
        clients = [await gateway.connect(stack) for _ in range(KEPT)]
        for client in clients:
            await answered(client, "/v1/echo/first")
        before, begun_s = open_files(pids), time.monotonic()
        load = Load(gateway, clients, stack)
        for number in range(20):
            place.write(f"cors: {{origins: ['https://{number}.example']}}\n")
            if number % 2:
                assert (await place.reload())[1]["generation"] == number + 2
            else:
                gateway.process.send_signal(signal.SIGHUP)
                await first(
                    lambda: ask_json(place.admin, "/config"),
                    partial(has_origin, f"https://{number}.example"),
                    within_s=30,
                )
            load.reloads += 1
        took_s = time.monotonic() - begun_s
        await load.end()
        print(
            f"{load.done} requests in {took_s:.1f} s; {load.reloaded_streams} streams met reloads"
        )
        assert load.done >= took_s * REQUESTS_A_SECOND - KEPT - NEW
        assert load.reloaded_streams >= 20
        files = await first(
            lambda: asyncio.sleep(0, open_files(pids)),
            lambda now: now <= before + 4 + STREAMS,
            within_s=20,
        )
        assert files <= before + 4 + STREAMS
        for worker in (await ask_json(place.admin, "/workers"))["workers"]:
            assert worker["pid"] in pids


async def test_a_stream_outlives_one_reload_and_is_ended_by_the_next(tmp_path: Path) -> None:
    place = Reloadable(tmp_path)
    async with (
        served(tmp_path, 1, *place.flags, settings=place.environment) as gateway,
        AsyncExitStack() as stack,
    ):
        short, long = await gateway.connect(stack), await gateway.connect(stack)
        await short.send(REPEAT.format("3&interval=1s"))
        await long.send(REPEAT.format("3&interval=60s"))
        for client in (short, long):
            await client.reader.readuntil(b'"x"')
        assert (await place.reload())[0] == 200
        async with asyncio.timeout(20):
            rest = await short.reader.readuntil(b"\r\n0\r\n\r\n")
        assert rest.count(b'"x"') == 2
        assert await status_of(gateway, "/v1/echo/a") == 200
        assert (await place.reload())[0] == 200
        async with asyncio.timeout(20):
            rest = await long.reader.read()
        assert CUT.search(rest), rest
        assert (await answered(short, "/v1/echo/kept")).status == 200
