"""A gateway on sockets that the service manager has opened and keeps (sd_listen_fds(3))."""

import asyncio
import os
import shutil
import signal
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, suppress
from pathlib import Path

import pytest

from services import echo
from services.serving import serve
from tests.support.given_sockets import Activated, activated
from tests.support.polling import first, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
both = pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
ASK = b"GET /v1/echo/hello HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
RELOAD = (
    b"POST /reload HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
    b"Content-Length: 0\r\n\r\n"
)
ALIVE = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def kept() -> Iterator[socket.socket]:
    """The socket that the service manager opens before the gateway, and keeps after it."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as one:
        yield one


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[socket.socket]:
    """The same for the admin listener."""
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(str(tmp_path / "admin.sock"))
        one.listen()
        yield one


@pytest.fixture
async def backend() -> AsyncIterator[str]:
    """The address of an echo server."""
    async with serve(echo.register) as address:
        yield address


async def asked(address: object, what: bytes = ASK) -> bytes:
    """The answer on a connection of its own; `address` is a path, or a host and a port."""
    if isinstance(address, str):
        reader, writer = await asyncio.open_unix_connection(address)
    else:
        assert isinstance(address, tuple)
        reader, writer = await asyncio.open_connection(*address)
    writer.write(what)
    async with asyncio.timeout(60):
        answer = await reader.read()
    writer.close()
    return answer


async def first_asked(path: str) -> bytes:
    """The answer on a unix socket that is bound soon, and takes connections a moment later."""

    async def ask() -> bytes:
        with suppress(FileNotFoundError, ConnectionRefusedError):
            return await asked(path)
        return b""

    return await first(ask, bool, within_s=60)


@asynccontextmanager
async def started(
    place: Path,
    backend: str,
    *given: tuple[str, socket.socket],
    workers: int = 1,
    flags: tuple[str, ...] = (),
) -> AsyncIterator[Activated]:
    """A gateway before the echo server that was given these sockets by name."""
    arguments = (
        *("serve", "--workers", str(workers), "--descriptors", "gen/descriptors.binpb"),
        *("--service", "echo.v1.*", "--upstream", backend, *flags),
    )
    async with activated(place / "stderr", given, *arguments) as gateway:
        yield gateway


def is_socket(path: str) -> bool:
    """True if there is a socket file."""
    return Path(path).is_socket()


def workers_of(pid: int) -> list[int]:
    """The workers of a supervisor."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [
        int(child)
        for child in children
        if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]


def environments_of_children(pid: int) -> list[bytes]:
    """The environments with which the children of a process were started (proc(5))."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [Path(f"/proc/{child}/environ").read_bytes() for child in children]


class Clients:
    """Clients that ask all the time, each on a connection of its own, whoever serves."""

    def __init__(self, address: object) -> None:
        self._address = address
        self._is_over = False
        self.count = 0
        self.failures: list[str] = []

    async def ask_on(self) -> None:
        """Asks until it is told that it is over."""
        while not self._is_over:
            self.count += 1
            try:
                answer = await asked(self._address)
                if not answer.startswith(b"HTTP/1.1 200 "):
                    self.failures.append(repr(answer[:40]))
            except OSError as error:
                self.failures.append(repr(error))

    def end(self) -> None:
        """Tells them that it is over."""
        self._is_over = True


@both
async def test_a_restart_refuses_no_connection(
    tmp_path: Path, backend: str, kept: socket.socket, workers: int
) -> None:
    address = kept.getsockname()
    clients = Clients(address)
    async with started(tmp_path, backend, ("gateway", kept), workers=workers) as first:
        await first.until(f"on http://127.0.0.1:{address[1]}")
        asking = [asyncio.create_task(clients.ask_on()) for _ in range(8)]
        await until(lambda: clients.count > 40)
        assert await first.end() == 0, first.said
    # Nobody serves. A client can connect all the same, and waits.
    waiting = asyncio.create_task(asked(address))
    async with started(tmp_path, backend, ("gateway", kept), workers=workers) as second:
        await second.until("serving 8 routes")
        before = clients.count
        await until(lambda: clients.count > before + 40)
        assert (await waiting).startswith(b"HTTP/1.1 200 ")
        clients.end()
        await asyncio.gather(*asking)
    assert clients.failures == []


async def test_a_worker_that_dies_in_the_drain_leaves_the_port_open(
    tmp_path: Path, backend: str, kept: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GATEWAY_DRAIN__DELAY_S", "2")
    async with started(tmp_path, backend, ("gateway", kept), workers=2) as gateway:
        await gateway.until("with 2 workers")
        await until(lambda: len(workers_of(gateway.process.pid)) == 2)
        gateway.process.send_signal(signal.SIGTERM)
        await gateway.until("finishing the requests under way")
        os.kill(workers_of(gateway.process.pid)[0], signal.SIGKILL)
        assert await gateway.ended() == 3, gateway.said
    with socket.create_connection(kept.getsockname(), timeout=10):
        kept.settimeout(10)
        kept.accept()[0].close()


async def test_all_workers_accept_on_the_one_socket(
    tmp_path: Path, backend: str, kept: socket.socket
) -> None:
    async with started(tmp_path, backend, ("gateway", kept), workers=2) as gateway:
        await gateway.until("with 2 workers")
        names: set[bytes] = set()
        async with asyncio.timeout(30):
            while len(names) < 2:
                many = await asyncio.gather(*(asked(kept.getsockname()) for _ in range(16)))
                names |= {one.partition(b"X-Request-Id: ")[2].partition(b"-")[0] for one in many}


@both
async def test_the_admin_listener_has_a_socket_of_its_own(
    tmp_path: Path, backend: str, kept: socket.socket, admin: socket.socket, workers: int
) -> None:
    path = admin.getsockname()
    given = [("admin", admin), ("gateway", kept)]
    for _ in range(2):
        async with started(tmp_path, backend, *given, workers=workers) as gateway:
            assert b"200 OK" in (await asked(path, ALIVE)).splitlines()[0]
            await gateway.until("serving 8 routes")
            assert (await asked(kept.getsockname())).startswith(b"HTTP/1.1 200 ")
            assert await gateway.end() == 0, gateway.said
        assert is_socket(path)


@both
async def test_a_public_unix_socket_keeps_its_file(
    tmp_path: Path, backend: str, admin: socket.socket, workers: int
) -> None:
    path = admin.getsockname()
    for _ in range(2):
        async with started(tmp_path, backend, ("gateway", admin), workers=workers) as gateway:
            await gateway.until(f"on http://unix:{path}")
            assert (await asked(path)).startswith(b"HTTP/1.1 200 ")
            assert await gateway.end() == 0, gateway.said
        assert is_socket(path)


async def test_workers_do_not_believe_that_they_were_given_sockets(
    tmp_path: Path, backend: str, kept: socket.socket
) -> None:
    async with started(tmp_path, backend, ("gateway", kept), workers=2) as gateway:
        await gateway.until("with 2 workers")
        # A child that is being started still has the environment of its parent.
        await until(lambda: len(workers_of(gateway.process.pid)) == 2)
        found = environments_of_children(gateway.process.pid)
        assert len(found) >= 2
        assert not [one for one in found if b"LISTEN_" in one]


@both
async def test_a_reload_keeps_the_address_of_the_socket(
    tmp_path: Path, backend: str, kept: socket.socket, admin: socket.socket, workers: int
) -> None:
    given = [("gateway", kept), ("admin", admin)]
    async with started(tmp_path, backend, *given, workers=workers) as gateway:
        await gateway.until("serving 8 routes")
        report = await asked(admin.getsockname(), RELOAD)
        assert report.startswith(b"HTTP/1.1 200 "), report
        assert b"restart the gateway" not in report
        assert (await asked(kept.getsockname())).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    ("name", "flags", "said"),
    [
        pytest.param("web", (), "named 'web', belongs to no listener", id="an unknown name"),
        pytest.param("gateway", (), "is not a listening stream socket", id="datagrams"),
    ],
)
async def test_what_is_no_socket_for_a_listener_is_an_error(
    tmp_path: Path, backend: str, name: str, flags: tuple[str, ...], said: str
) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        async with started(tmp_path, backend, (name, one), flags=flags) as gateway:
            assert await gateway.ended() == 1
            assert said in gateway.said
            assert "Traceback" not in gateway.said


async def test_systemd_starts_it_with_the_first_connection(tmp_path: Path, backend: str) -> None:
    program = shutil.which("systemd-socket-activate")
    if program is None:
        pytest.skip("needs systemd-socket-activate: apt-get install systemd")
    path = str(tmp_path / "public.sock")
    with ExitStack() as stack:
        stderr = stack.enter_context((tmp_path / "stderr").open("wb"))
        process = await asyncio.create_subprocess_exec(
            *(program, "--listen", path, "--fdname=gateway", "-E", f"PYTHONPATH={Path.cwd()}"),
            *(sys.executable, "-m", "gateway", "serve", "--service", "echo.v1.*"),
            *("--descriptors", "gen/descriptors.binpb", "--upstream", backend),
            stderr=stderr, stdout=asyncio.subprocess.DEVNULL, start_new_session=True,
        )  # fmt: skip
    try:
        assert (await first_asked(path)).startswith(b"HTTP/1.1 200 ")
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
