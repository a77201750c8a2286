"""Servers and tools of other projects: built or installed once.

A server is started once, and each test gets a fresh one in it.
"""

import asyncio
import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.grpc_backend import Backend, Seen

HERE = Path(__file__).parent
_TIMEOUT_S = 600
_MAVEN_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy"
"""The goal of Maven that copies one artifact out of its repository."""


def go_tool() -> str:
    """The program `go`; the test is skipped if there is none."""
    return _tool("go", os.pathsep + "/usr/local/go/bin")


def go_command(cache: Path, name: str = "go") -> Sequence[str]:
    """How to start the Go program of the folder `name`, built if it is not there or old."""
    go = go_tool()
    place = HERE / name
    program = cache / f"{name}-{_digest(place)}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            made = Path(fresh, "program")
            _run([go, "build", "-o", str(made), "."], place)
            made.replace(program)
    return [str(program)]


def go_program(cache: Path, module: str) -> Path:
    """The program of a Go module, `path@version`, which is built if it is not there."""
    go = go_tool()
    name, _, version = module.rpartition("/")[2].partition("@")
    program = cache / f"{name}-{version}"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            _run([go, "install", module], cache, CGO_ENABLED="0", GOBIN=fresh)
            Path(fresh, name).replace(program)
    return program


def java_command(cache: Path, artifact: str) -> Sequence[str]:
    """How to start a program in Java, `group:artifact:version`, which Maven fetches once."""
    java, maven = _tool("java"), _tool("mvn")
    _, name, version = artifact.split(":")
    program = cache / f"{name}-{version}.jar"
    if not program.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            options = [f"-Dartifact={artifact}", f"-DoutputDirectory={fresh}"]
            _run([maven, "--batch-mode", "--quiet", _MAVEN_COPY, *options], cache)
            Path(fresh, program.name).replace(program)
    return [java, "-jar", str(program)]


def node_command(cache: Path) -> Sequence[str]:
    """How to start the Node server, whose packages are installed if they are not there or old."""
    place = node_packages(cache, "node")
    return [_tool("node"), str(place / "server.js")]


def node_packages(cache: Path, name: str) -> Path:
    """A copy of the folder `name` with its packages, which are installed if they are not there."""
    _tool("node")
    npm = _tool("npm")
    place = cache / f"{name}-{_digest(HERE / name)}"
    if not place.exists():
        with tempfile.TemporaryDirectory(dir=cache) as fresh:
            shutil.copytree(HERE / name, Path(fresh, name))
            options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
            _run([npm, "install", "--silent", *options], Path(fresh, name))
            with suppress(OSError):  # another process of the same run was faster
                Path(fresh, name).rename(place)
    return place


def python_packages(cache: Path, *requirements: str) -> Path:
    """The folder of the programs of these packages, in a virtual environment of their own."""
    digest = hashlib.sha256(" ".join(requirements).encode()).hexdigest()[:16]
    place = cache / f"python-{digest}"
    done = place / "done"
    if not done.exists():
        # An environment cannot be moved: its programs know their place.
        _run([sys.executable, "-m", "venv", "--clear", str(place)], cache)
        _run([str(place / "bin/pip"), "install", "--quiet", *requirements], cache)
        done.touch()
    return place / "bin"


def _tool(name: str, more_path: str = "") -> str:
    found = shutil.which(name, path=os.environ["PATH"] + more_path)
    if found is None:
        pytest.skip(f"needs {name}: it runs servers and tools of other projects")
    return found


def _digest(place: Path) -> str:
    files = sorted(file for file in place.iterdir() if file.is_file())
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16]


def _run(command: Sequence[str], where: Path, **environment: str) -> None:
    done = subprocess.run(
        command,
        check=False,
        cwd=where,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{' '.join(command[:2])} failed: {done.stderr}"


@contextmanager
def running(command: Sequence[str]) -> Iterator[int]:
    """The program while the block runs; yields the port it is controlled on."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


class Foreign:
    """One server of another library, and the connection that controls it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.seen = Seen()
        self.port: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._stopped = asyncio.Event()
        self._reader = reader
        self._writer = writer

    async def listen(self) -> None:
        """Takes what the server tells until it has gone."""
        with suppress(ConnectionError):
            async for line in self._reader:
                self._take(json.loads(line))

    async def stop(self) -> None:
        """Ends the server and its calls at once."""
        self.say("stop")
        await self._stopped.wait()

    def say(self, command: str) -> None:
        """Tells the server what to do."""
        self._writer.write(f"{command}\n".encode())

    def _take(self, event: dict[str, Any]) -> None:
        match event:
            case {"port": port}:
                self.port.set_result(port)
            case {"metadata": pairs}:
                self.seen.metadata = [
                    (name, base64.b64decode(value) if name.endswith("-bin") else value)
                    for name, value in pairs
                ]
                self.say("ack")
            case {"event": "started"}:
                self.seen.started.set()
            case {"event": "cancelled"}:
                self.seen.cancelled.set()
            case {"event": "produced"}:
                self.seen.produced += 1
            case _:
                self._stopped.set()


@asynccontextmanager
async def foreign_backend(control_port: int) -> AsyncIterator[Backend]:
    """A server of its own for one test, in the program that listens at `control_port`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", control_port)
    foreign = Foreign(reader, writer)
    listening = asyncio.create_task(foreign.listen(), name="foreign backend")
    try:
        port = await asyncio.wait_for(asyncio.shield(foreign.port), 10)
        yield Backend(f"127.0.0.1:{port}", foreign.seen, foreign.stop)
    finally:
        writer.close()
        listening.cancel()
        await asyncio.wait([listening])
