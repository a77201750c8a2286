"""A real PostgreSQL server on a free port, with its own cluster in a temporary folder."""

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.redis_server import free_port

PASSWORD = "p%w:d"
_IN_URL = "p%25w%3Ad"
_USER_OF_ROOT = "postgres"


def _program(name: str) -> str:
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    program = str(found[-1]) if found else shutil.which(name)
    if program is None:
        pytest.skip(f"needs {name}: apt-get install postgresql")
    return program


@contextmanager
def postgres_cluster() -> Iterator[Path]:
    """Makes an empty cluster; deletes it at the end of the block."""
    initdb = _program("initdb")
    with tempfile.TemporaryDirectory(prefix="postgres-") as name:
        folder = Path(name)
        secret = folder / "password"
        secret.write_text(PASSWORD)
        if os.getuid() == 0:
            # PostgreSQL refuses to run as root.
            for path in (folder, secret):
                shutil.chown(path, _USER_OF_ROOT)
        arguments = ["--username=gateway", f"--pwfile={secret}", "--auth=scram-sha-256"]
        quick = ["--no-sync", "--no-locale", "--encoding=UTF8"]
        _run([initdb, f"--pgdata={folder}/data", *arguments, *quick])
        yield folder / "data"


@contextmanager
def postgres_server(data: Path, port: int | None = None) -> Iterator[tuple[str, int]]:
    """Runs a server on a cluster while the block runs; yields its URL and the pid of the server."""
    port = port or free_port()
    options = ["-p", str(port), "-h", "127.0.0.1", "-k", str(data.parent), "-F"]
    process = subprocess.Popen(
        [_program("postgres"), "-D", str(data), *options],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=_USER_OF_ROOT if os.getuid() == 0 else None,
        cwd=data,
    )
    try:
        _wait_for(port)
        yield f"postgres://gateway:{_IN_URL}@127.0.0.1:{port}/postgres", process.pid
    finally:
        process.send_signal(signal.SIGINT)  # the fast shutdown, which ends sessions
        process.wait(20)


@contextmanager
def frozen(pid: int) -> Iterator[None]:
    """Stops a server and the processes of its sessions during the block."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    pids = [pid, *map(int, children)]
    for one in pids:
        os.kill(one, signal.SIGSTOP)
    try:
        yield
    finally:
        for one in pids:
            os.kill(one, signal.SIGCONT)


def _run(command: Sequence[str]) -> None:
    user = _USER_OF_ROOT if os.getuid() == 0 else None
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, timeout=120, user=user, cwd="/")


def _wait_for(port: int) -> None:
    ready = [_program("pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    for _ in range(200):
        if subprocess.run(ready, check=False, timeout=10).returncode == 0:
            return
        time.sleep(0.05)
    pytest.fail("postgres did not start within 10 s")
