"""schemathesis compares requests and replies with the document of the sample API."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.integration.docs.test_other_tools import open_sample, output
from tests.interop.servers import HERE, python_packages
from tools.corpus_calls import any_backend

pytestmark = pytest.mark.slow
PACKAGE = "schemathesis==4.32.5"
ENDLESS = "sleep|watch|discuss"
"""Operations that last as long as the client wishes."""
ALL_FORMS = {"nullable": True, "lenient_input": True, "oneof": "constrained"}
"""The settings with which the document states all forms of values that the gateway accepts."""


@pytest.fixture(scope="module")
def schemathesis(request: pytest.FixtureRequest) -> Path:
    return python_packages(request.config.cache.mkdir("interop"), PACKAGE) / "schemathesis"


@asynccontextmanager
async def open_willing() -> AsyncIterator[str]:
    """The sample API before a back end that accepts every request; yields its URL."""
    async with any_backend() as (target, _):
        settings = {
            "listen": "127.0.0.1:0",
            "modules": ["gen.library.v1", "gen.echo.v1"],
            "upstreams": {"any": {"target": target}},
            "openapi": {"enabled": True, "oneof": "constrained"},
            "log": {"access": "off", "audit": "off"},
        }
        async with open_gateway(Config.model_validate(settings)) as gateway:
            yield gateway.url


async def run(schemathesis: Path, config: str, url: str, place: Path, *options: str) -> str:
    """Runs schemathesis, which must find no failure, and returns what it printed."""
    folder = HERE / "schemathesis"
    command = [str(schemathesis), "--config-file", str(folder / config), "run"]
    hooks = {"SCHEMATHESIS_HOOKS": "hooks", "PYTHONPATH": str(folder)}
    return await output(*command, f"{url}/openapi.json", *options, where=place, **hooks)


async def test_all_checks_pass(schemathesis: Path, tmp_path: Path) -> None:
    async with open_sample(openapi=ALL_FORMS) as url:
        leaving_out = ["--exclude-path-regex", ENDLESS]
        printed = await run(
            schemathesis, "sample.toml", url, tmp_path, "--max-examples", "10", *leaving_out
        )
    assert re.search(r"generated, \d{4,} passed\n", printed), printed


async def test_the_gateway_accepts_what_the_document_allows(
    schemathesis: Path, tmp_path: Path
) -> None:
    async with open_willing() as url:
        options = ["--mode", "positive", "--phases", "examples,coverage,fuzzing"]
        printed = await run(
            schemathesis, "willing.toml", url, tmp_path, "--max-examples", "10", *options
        )
    assert re.search(r"generated, \d{3,} passed\n", printed), printed
