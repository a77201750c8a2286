"""The drain that SIGTERM starts, as clients on real sockets see it."""

import asyncio
import os
import random
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

import grpc.aio
import pytest

from gateway.process.orders import ONE_SIGNAL_S
from gen.echo.v1 import echo_pb2 as pb
from gen.echo.v1 import echo_pb2_grpc as rpc
from services import echo
from services.refusal import Context
from services.serving import serve
from tests.support.http import Answer, RawClient
from tests.support.polling import until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs SO_REUSEPORT balancing"),
]

both = pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
LISTEN = "--listen", "127.0.0.1:0"


class Echo(echo.EchoService):
    """The echo service, which counts the calls that sleep."""

    sleeping = 0

    async def Sleep(self, request: pb.SleepRequest, context: Context) -> pb.SleepResponse:
        """Answers late."""
        self.sleeping += 1
        return await super().Sleep(request, context)

    def register(self, server: grpc.aio.Server) -> str:
        """Adds the service to a server."""
        rpc.add_EchoServiceServicer_to_server(self, server)
        return pb.DESCRIPTOR.services_by_name["EchoService"].full_name


class Served:
    """A `gateway serve` process and what it said."""

    def __init__(
        self, process: asyncio.subprocess.Process, said: Path, sleeping: Callable[[], int]
    ) -> None:
        self.process = process
        self._said = said
        self._sleeping = sleeping
        self.port = 0

    @property
    def said(self) -> str:
        """All that was written to stderr so far."""
        return self._said.read_text()

    async def until(self, pattern: str) -> "re.Match[str]":
        """Waits until it has said something."""
        async with asyncio.timeout(40):
            while not (found := re.search(pattern, self.said)):
                assert self.process.returncode is None, self.said
                await asyncio.sleep(0.02)
        return found

    async def connect(self, stack: AsyncExitStack) -> RawClient:
        """A connection that is closed with `stack`."""
        client = RawClient(*await asyncio.open_connection("127.0.0.1", self.port))
        stack.callback(client.writer.close)
        return client

    async def sleeps(self, client: RawClient) -> None:
        """Makes a call that takes 50 s; returns once it has reached the back end."""
        await client.send("GET /v1/echo:sleep?duration=50s HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(self._sleeping, within_s=40)

    async def ended(self) -> int:
        """Waits for the end; returns the exit code."""
        async with asyncio.timeout(40):
            return await self.process.wait()


@asynccontextmanager
async def served(
    place: Path,
    workers: int | None = 1,
    *flags: str,
    settings: Mapping[str, object] | None = None,
    **drain: float,
) -> AsyncIterator[Served]:
    """A gateway before the echo service, once it serves; it is killed at the end.

    Without `workers`, the settings say where and how it serves.
    """
    said = place / "stderr"
    environment = {f"GATEWAY_{name}": str(value) for name, value in (settings or {}).items()}
    environment |= {f"GATEWAY_DRAIN__{name.upper()}": str(value) for name, value in drain.items()}
    service = Echo()
    async with serve(service.register) as backend:
        with said.open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway", "serve"),
                *(() if workers is None else ("--workers", str(workers), *LISTEN)),
                *("--descriptors", "gen/descriptors.binpb", "--service", "echo.v1.*"),
                *("--upstream", backend),
                *flags,
                env={**os.environ, **environment},
                stderr=stderr, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
            )  # fmt: skip
        gateway = Served(process, said, lambda: service.sleeping)
        try:
            gateway.port = int(
                (await gateway.until(r"serving \d+ routes on http://[^ ]+:(\d+)"))[1]
            )
            yield gateway
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()


async def answered(client: RawClient, path: str) -> Answer:
    answer = await client.get(path)
    assert answer.status == 200
    return answer


@both
async def test_kept_connections_get_an_answer_to_what_they_still_send(
    tmp_path: Path, workers: int
) -> None:
    async def ask_late(client: RawClient) -> bool:
        await asyncio.sleep(random.uniform(0, 0.5))
        return (await answered(client, "/v1/echo/late")).header("Connection") == "close"

    async with served(tmp_path, workers) as gateway, AsyncExitStack() as stack:
        clients = [await gateway.connect(stack) for _ in range(100)]
        for client in clients:
            assert (await answered(client, "/v1/echo/first")).header("Connection") is None
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.until("finishing the requests under way")
        assert await asyncio.gather(*map(ask_late, clients)) == [True] * 100
        assert await gateway.ended() == 0


@both
async def test_no_request_is_lost_under_load(tmp_path: Path, workers: int) -> None:
    done = 0

    async def load(client: RawClient) -> None:
        nonlocal done
        async with asyncio.timeout(30):
            while (await answered(client, "/v1/echo/x")).header("Connection") != "close":
                done += 1

    async with served(tmp_path, workers) as gateway, AsyncExitStack() as stack:
        clients = [await gateway.connect(stack) for _ in range(20)]
        running = asyncio.gather(*map(load, clients))
        while done < 200:  # noqa: ASYNC110 - counted by the clients
            await asyncio.sleep(0.01)
        gateway.process.send_signal(signal.SIGTERM)
        await running
        assert await gateway.ended() == 0


async def test_an_idle_connection_is_closed_in_time(tmp_path: Path) -> None:
    async with served(tmp_path, idle_s=0.3) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await answered(client, "/v1/echo/first")
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            assert await client.reader.read() == b""
        assert await gateway.ended() == 0


@both
async def test_connections_are_accepted_during_the_delay_and_refused_after_it(
    tmp_path: Path, workers: int
) -> None:
    async with (
        served(tmp_path, workers, delay_s=3, idle_s=30) as gateway,
        AsyncExitStack() as stack,
    ):
        gateway.process.send_signal(signal.SIGTERM)
        if workers > 1:
            await gateway.until("finishing the requests under way")
        client = await gateway.connect(stack)
        assert (await answered(client, "/v1/echo/x")).header("Connection") is None
        async with asyncio.timeout(20):
            while True:
                try:
                    one = await gateway.connect(stack)
                    await answered(one, "/v1/echo/y")
                except ConnectionRefusedError:
                    break
        assert (await answered(client, "/v1/echo/z")).header("Connection") == "close"
        assert await gateway.ended() == 0


@both
async def test_a_unary_call_is_cut_with_503_at_the_end_of_grace(
    tmp_path: Path, workers: int
) -> None:
    async with served(tmp_path, workers, grace_s=0.5) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await gateway.sleeps(client)
        gateway.process.send_signal(signal.SIGTERM)
        answer = await client.answer()
        assert (answer.status, answer.header("Retry-After")) == (503, "1")
        assert answer.header("Connection") == "close"
        assert answer.json()["error"]["status"] == "UNAVAILABLE"
        assert await gateway.ended() == 3


@pytest.mark.parametrize(
    ("accept", "ending"),
    [
        ("application/x-ndjson", rb'\{"error":.*"UNAVAILABLE".*\}\n'),
        ("text/event-stream", rb"event: error\ndata: .*UNAVAILABLE.*\n\n"),
    ],
)
async def test_a_stream_that_is_cut_ends_with_its_error_record(
    tmp_path: Path, accept: str, ending: bytes
) -> None:
    async with served(tmp_path, streams_s=0.3, grace_s=20) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await client.send(
            "GET /v1/echo/x:repeat?count=3&interval=20s HTTP/1.1\r\nHost: a\r\n"
            f"Accept: {accept}\r\n\r\n"
        )
        await client.reader.readuntil(b'"x"')
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):
            rest = await client.reader.read()
        assert re.search(ending + rb"\r\n0\r\n\r\n$", rest, re.DOTALL), rest
        assert await gateway.ended() == 3


@both
async def test_a_second_signal_ends_at_once(tmp_path: Path, workers: int) -> None:
    async with served(tmp_path, workers) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await gateway.sleeps(client)
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.until("finishing the requests under way")
        await asyncio.sleep(2 * ONE_SIGNAL_S)  # what comes earlier is the same signal
        gateway.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(10):  # less than the grace of 25 s
            assert (await client.answer()).status == 503
            assert await gateway.process.wait() == 3


def workers_of(pid: int) -> list[int]:
    """The workers of a supervisor."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


async def test_a_worker_that_crashes_in_the_drain_has_cut_its_requests(tmp_path: Path) -> None:
    async with served(tmp_path, 2) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await gateway.sleeps(client)
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.until("finishing the requests under way")
        for pid in workers_of(gateway.process.pid):
            os.kill(pid, signal.SIGSEGV)
        assert await client.reader.read() == b""
        assert await gateway.ended() == 3


async def test_a_request_whose_body_has_not_arrived_is_cut(tmp_path: Path) -> None:
    async with served(tmp_path, grace_s=0.5) as gateway, AsyncExitStack() as stack:
        client = await gateway.connect(stack)
        await client.send("POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Length: 20\r\n\r\n{")
        await answered(await gateway.connect(stack), "/v1/echo/x")  # so it has that one too
        gateway.process.send_signal(signal.SIGTERM)
        assert (await client.answer()).status == 503
        assert await gateway.ended() == 3


async def test_an_answer_that_its_client_has_not_read_is_cut(tmp_path: Path) -> None:
    text = "x" * 3_900_000
    async with served(tmp_path, grace_s=0.5) as gateway, AsyncExitStack() as stack:
        small = stack.enter_context(socket.socket())
        small.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so the kernel keeps little
        small.connect(("127.0.0.1", gateway.port))
        client = RawClient(*await asyncio.open_connection(sock=small))
        stack.callback(client.writer.close)
        await client.send(
            "POST /v1/echo HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
            f'Content-Length: {len(text) + 11}\r\n\r\n{{"text":"{text}"}}'
        )
        assert b" 200 OK" in await client.reader.readuntil(b"\r\n\r\n")
        gateway.process.send_signal(signal.SIGTERM)
        assert await gateway.ended() == 3
