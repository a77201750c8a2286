"""Real redis-servers on free ports, kept in memory, ended by their pids."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from redis.asyncio import Redis


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def redis_server(port: int | None = None, options: Sequence[str] = ()) -> Iterator[str]:
    """Runs a server while the block runs; yields its URL."""
    port = port or free_port()
    # A master that ends does not wait for its replicas.
    with _process(port, ["--save", "", "--shutdown-timeout", "0", *options]):
        yield f"redis://127.0.0.1:{port}/0"


@asynccontextmanager
async def frozen(url: str) -> AsyncIterator[None]:
    """Stops the process of a server during the block: it keeps its connections, and is silent."""
    async with Redis.from_url(url) as redis:
        pid = int((await redis.info("server"))["process_id"])
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@contextmanager
def redis_process(
    port: int, options: Sequence[str] = (), *, host: str = "127.0.0.1", inside: Sequence[str] = ()
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server that the block may stop or kill. `inside` is a command that runs the server."""
    with _process(port, ["--shutdown-timeout", "0", *options], host=host, inside=inside) as process:
        yield process


@contextmanager
def sentinel(master_port: int, folder: Path) -> Iterator[int]:
    """Runs a sentinel that watches one master called `main`; yields its port."""
    port = free_port()
    settings = folder / "sentinel.conf"
    settings.write_text(
        f"sentinel monitor main 127.0.0.1 {master_port} 1\n"
        "sentinel down-after-milliseconds main 500\n"
        "sentinel failover-timeout main 5000\n"
    )
    with _process(port, ["--dir", str(folder)], [str(settings), "--sentinel"]):
        yield port


@contextmanager
def redis_cluster(folder: Path) -> Iterator[list[int]]:
    """Runs a cluster of three masters while the block runs; yields their ports."""
    with ExitStack() as stack:
        ports = []
        for number in range(3):
            where = folder / str(number)
            where.mkdir()
            # The bus is at a port of its own, or it would be 10,000 above and may be taken.
            own = ["--cluster-enabled", "yes", "--cluster-port", str(free_port())]
            options = [*own, "--dir", str(where), "--cluster-node-timeout", "2000"]
            ports.append(free_port())
            stack.enter_context(redis_server(ports[-1], options))
        nodes = [f"127.0.0.1:{port}" for port in ports]
        cli = shutil.which("redis-cli")
        if cli is None:
            pytest.skip("needs redis-cli: apt-get install redis-tools")
        subprocess.run(
            [cli, "--cluster", "create", *nodes, "--cluster-yes"],
            check=True,
            stdout=subprocess.DEVNULL,
            timeout=60,
        )
        for port in ports:
            _wait_for_cluster(cli, port)
        yield ports


def _wait_for_cluster(cli: str, port: int) -> None:
    for _ in range(200):
        done = subprocess.run(
            [cli, "-p", str(port), "cluster", "info"],
            check=False,
            capture_output=True,
            text=True,
            timeout=10,
        )
        if "cluster_state:ok" in done.stdout:
            return
        time.sleep(0.05)
    pytest.fail("the cluster was not ready within 10 s")


@contextmanager
def _process(
    port: int,
    options: Sequence[str],
    first: Sequence[str] = (),
    *,
    host: str = "127.0.0.1",
    inside: Sequence[str] = (),
) -> Iterator[subprocess.Popen[bytes]]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("needs redis-server: apt-get install redis-server")
    command = [*inside, binary, *first, "--port", str(port), "--bind", host, "--daemonize", "no"]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _wait_for(host, port)
        yield process
    finally:
        process.terminate()
        process.send_signal(signal.SIGCONT)  # one that is stopped would not end
        process.wait(10)


def _wait_for(host: str, port: int) -> None:
    for _ in range(200):
        with socket.socket() as probe:
            probe.settimeout(1)
            if probe.connect_ex((host, port)) == 0:
                return
        time.sleep(0.02)
    pytest.fail("redis-server did not start within 4 s")
