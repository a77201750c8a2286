"""Google's own Python clients for Firestore, its administration and KMS, with `compat: google`.

They are installed into an environment of their own, for they bring another protobuf, and run by
it: see google/calls.py.
"""

import asyncio
import os
import sys
import venv
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config

HERE = Path(__file__).parent / "google"
REQUIREMENTS = HERE / "requirements.txt"
TIMEOUT_S = 300
CALLS = 22

pytestmark = pytest.mark.slow


@pytest.fixture
async def python(request: pytest.FixtureRequest) -> str:
    """The Python that has the clients; they are installed if they are not there."""
    given = os.environ.get("TESTS_GOOGLE_CLIENTS_PYTHON")
    if given:
        return given
    place: Path = request.config.cache.mkdir("interop") / "google"
    found, done = str(place / "bin" / "python"), place / "installed"
    if not done.exists() or done.read_text() != REQUIREMENTS.read_text():
        await asyncio.to_thread(venv.create, place, clear=True, with_pip=True)
        options = ["--quiet", "--disable-pip-version-check", "--requirement", str(REQUIREMENTS)]
        pip = await asyncio.create_subprocess_exec(found, "-m", "pip", "install", *options)
        if await pip.wait():
            pytest.skip("needs google-cloud-firestore and google-cloud-kms: pip cannot get them")
        done.write_text(REQUIREMENTS.read_text())
    return found


@pytest.fixture
async def clients(python: str, tmp_path: Path) -> AsyncIterator[Process]:
    """The process of the clients, which is also their back end."""
    environment = {"PATH": os.environ["PATH"], "NO_PROXY": "*"}
    process = await asyncio.create_subprocess_exec(
        python, str(HERE / "calls.py"), str(tmp_path), stdin=PIPE, stdout=PIPE, env=environment
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


# In the published rules, reading a document and listing a collection share paths: one is served.
@pytest.mark.parametrize(
    ("prefer", "hidden"),
    [([], "get"), (["google.firestore.v1.Firestore.GetDocument"], "list, in pages")],
)
async def test_googles_python_clients_work_untouched(
    clients: Process, tmp_path: Path, prefer: list[str], hidden: str
) -> None:
    assert clients.stdin is not None
    assert clients.stdout is not None
    async with asyncio.timeout(TIMEOUT_S):
        port = int(await clients.stdout.readline())
        settings = {
            "listen": "127.0.0.1:0",
            "compat": "google",
            "descriptors": [tmp_path / "google.binpb"],
            "service_config": [tmp_path / "operations.yaml"],
            "routing": {"prefer": prefer},
            "upstreams": {"google": {"target": f"127.0.0.1:{port}"}},
            "log": {"access": "off"},
        }
        async with open_gateway(Config.model_validate(settings)) as gateway:
            clients.stdin.write(f"{gateway.address}\n".encode())
            said = (await clients.stdout.read()).decode()
    results = dict(line.split("\t", 1) for line in said.splitlines())
    sys.stdout.write(said)
    assert [name for name, result in results.items() if result != "ok"] == [hidden]
    assert len(results) == CALLS
