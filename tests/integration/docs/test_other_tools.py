"""Tools of other projects read the document of the sample API, and make clients from it."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.interop.servers import HERE, go_tool, java_command, node_packages, python_packages
from tests.support.servers import echo_server, library_server

pytestmark = pytest.mark.slow
_TIMEOUT_S = 300.0
CALLS = """
import sys
from sample_client import Client
from sample_client.api.library_v_1_library_service import library_service_create_shelf as create
from sample_client.api.library_v_1_library_service import library_service_get_shelf as get
from sample_client.models import LibraryV1ShelfInput

with Client(base_url=sys.argv[1]) as client:
    made = create.sync(client=client, body=LibraryV1ShelfInput(theme="Maps"), shelf_id="maps")
    found = get.sync("maps", client=client)
    missing = get.sync("none", client=client)
print(made.name, found.theme, missing.error.status)
"""
"""A program that uses the client of openapi-python-client."""

OPENAPI_GENERATOR = "org.openapitools:openapi-generator-cli:7.12.0"


@asynccontextmanager
async def open_sample(openapi: Mapping[str, Any] | None = None) -> AsyncIterator[str]:
    """The sample API behind a gateway; yields its URL."""
    async with library_server() as library, echo_server() as echo:
        settings = {
            "listen": "127.0.0.1:0",
            "modules": ["gen.library.v1", "gen.echo.v1"],
            "upstreams": {
                "library": {"target": library, "services": ["library.v1.*"]},
                "echo": {"target": echo, "services": ["echo.v1.*"]},
            },
            "openapi": {"enabled": True, **(openapi or {})},
            "log": {"access": "off", "audit": "off"},
        }
        async with open_gateway(Config.model_validate(settings)) as gateway:
            yield gateway.url


async def save_document(url: str, place: Path) -> str:
    """Saves the document as a file, and returns its name."""
    async with aiohttp.ClientSession() as client, client.get(f"{url}/openapi.json") as response:
        file = place / "openapi.json"
        file.write_bytes(await response.read())
        return str(file)


async def output(*command: str, where: Path, **environment: str) -> str:
    """Runs a program that must succeed, and returns what it printed."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=where,
        env=os.environ | environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await asyncio.wait_for(process.communicate(), _TIMEOUT_S)
    assert process.returncode == 0, printed.decode()
    return printed.decode()


@pytest.fixture(scope="module")
def cache(request: pytest.FixtureRequest) -> Path:
    place: Path = request.config.cache.mkdir("interop")
    return place


@pytest.fixture(scope="module")
def node(cache: Path) -> Path:
    return node_packages(cache, "openapi")


async def test_linters_find_no_error(node: Path, tmp_path: Path) -> None:
    programs = node / "node_modules/.bin"
    rules = tmp_path / "spectral.yaml"
    rules.write_text("extends: ['spectral:oas']\n")
    async with open_sample() as url:
        document = await save_document(url, tmp_path)
    off = {"REDOCLY_TELEMETRY": "off"}
    await output(
        *(str(programs / "redocly"), "lint", "--extends=spec", document), where=tmp_path, **off
    )
    lint = [str(programs / "spectral"), "lint", "--fail-severity=error", "--ruleset", str(rules)]
    await output(*lint, document, where=tmp_path)


async def test_types_for_typescript_are_strict(node: Path, tmp_path: Path) -> None:
    programs = node / "node_modules/.bin"
    program = tmp_path / "client.ts"
    program.write_bytes((HERE / "openapi/client.ts").read_bytes())
    async with open_sample() as url:
        document = await save_document(url, tmp_path)
    make = str(programs / "openapi-typescript")
    await output(make, document, "--output", "api.ts", where=tmp_path)
    await output(str(programs / "tsc"), "--strict", "--noEmit", program.name, where=tmp_path)


async def test_a_client_in_python_calls_the_api(cache: Path, tmp_path: Path) -> None:
    programs = python_packages(cache, "openapi-python-client==0.29.1")
    async with open_sample() as url:
        document = await save_document(url, tmp_path)
        await output(
            *(str(programs / "openapi-python-client"), "generate", "--path", document),
            *("--meta", "none", "--output-path", "sample_client"),
            where=tmp_path,
        )
        types = ["--python-executable", str(programs / "python"), "--config-file", os.devnull]
        await output(sys.executable, "-m", "mypy", *types, "sample_client", where=tmp_path)
        path = {"PYTHONPATH": str(tmp_path)}
        printed = await output(str(programs / "python"), "-c", CALLS, url, where=tmp_path, **path)
    assert printed == "shelves/maps Maps NOT_FOUND\n"


async def test_a_client_in_go_calls_the_api(cache: Path, tmp_path: Path) -> None:
    go = go_tool()
    program = java_command(cache, OPENAPI_GENERATOR)
    shutil.copytree(HERE / "openapi_go", tmp_path, dirs_exist_ok=True)
    async with open_sample() as url:
        document = await save_document(url, tmp_path)
        await output(
            *(*program, "generate", "--generator-name", "go", "--input-spec", document),
            *("--output", "sample", "--package-name", "sample"),
            *("--additional-properties", "withGoMod=false"),
            *("--global-property", "apis,models,supportingFiles,apiTests=false,modelTests=false"),
            where=tmp_path,
        )
        await output(go, "build", "-o", "calls", ".", where=tmp_path)
        printed = await output(str(tmp_path / "calls"), url, where=tmp_path)
    assert printed == "shelves/maps Maps 404 NOT_FOUND\n"
