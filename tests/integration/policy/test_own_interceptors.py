"""The example of the documentation, as it stands there, in a gateway."""

import re
import sys
from pathlib import Path

import pytest
import yaml

from tests.support.http import connected, echo_gateway

PAGE = Path(__file__).parents[3] / "docs" / "interceptors.md"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    (python,), (settings,) = blocks("python"), blocks("yaml")
    (tmp_path / "tenants.py").write_text(python)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tenants", raising=False)
    read: dict[str, object] = yaml.safe_load(settings)
    return read


async def test_the_example_serves_whom_it_says(example: dict[str, object]) -> None:
    async with echo_gateway(**example) as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/hello", "X-Tenant: acme")
        assert answer.status == 200
        assert {"name": "tenant", "value": "acme"} in answer.json()["metadata"]
        again = await client.get("/v1/echo/hello", "X-Tenant: acme")
        assert again.header("X-Tenant-Calls") == "2"


@pytest.mark.parametrize("path", ["/v1/echo/hello", "/v1/echo/hello:repeat?count=2"])
async def test_the_example_refuses_the_others(example: dict[str, object], path: str) -> None:
    async with echo_gateway(**example) as gateway, connected(gateway) as client:
        for fields in ((), ("X-Tenant: nobody",)):
            answer = await client.get(path, *fields)
            assert answer.status == 403
            assert answer.json()["error"]["message"] == "X-Tenant names no tenant"
