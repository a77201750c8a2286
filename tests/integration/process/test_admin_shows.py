"""Upstreams and certificates as the admin listener of a real gateway shows them."""

import asyncio
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from services import echo
from services.serving import serve
from tests.integration.process.test_admin import ask_json
from tests.integration.process.test_drain import served
from tests.support.http import RawClient
from tests.support.polling import first
from tests.support.tls import Files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
DEAD = "127.0.0.1:1"
SETTINGS = """
upstreams:
  echo: {{targets: [{{address: "{alive}", zone: eu-1}}, {{address: "{dead}", zone: eu-1}}],
    services: [echo.v1.*]}}
  other: {{target: "{dead}", channel: grpcio, services: [gatewayapi.v1.AuthService],
    tls: {{ca_file: {ca_file}}}}}
"""


def endpoints(found: Any, name: str) -> dict[str, Any]:
    """The endpoints of one upstream in an answer, by address."""
    (one,) = [each for each in found["upstreams"] if each["name"] == name]
    return {each["address"]: each for each in one["endpoints"]}


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_upstreams_and_certificates_are_shown(tmp_path: Path, workers: int) -> None:
    admin, file, ca = (tmp_path / name for name in ("admin.sock", "settings.yaml", "client_ca"))
    Files(tmp_path)
    async with serve(echo.register) as alive:
        file.write_text(SETTINGS.format(alive=alive, dead=DEAD, ca_file=ca))
        settings = {"ADMIN__LISTEN": f"unix:{admin}", "SUPERVISOR__HANG_S": 60}
        async with served(tmp_path, workers, "--config", str(file), settings=settings) as gateway:

            async def upstreams() -> Any:
                reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
                assert (await RawClient(reader, writer).get("/v1/echo/a")).status == 200
                writer.close()
                return await ask_json(admin, "/upstreams")

            def is_settled(found: Any) -> bool:
                shown = endpoints(found, "echo")
                return [shown[one]["states"] for one in (alive, DEAD)] == [
                    {"ready": workers},
                    {"failing": workers},
                ]

            found = await first(upstreams, is_settled, within_s=40)
            assert found["workers_responding"] == workers
            assert endpoints(found, "other") == {}
            assert not any(one["panics"] for one in found["upstreams"])
            shown = endpoints(found, "echo")
            assert (shown[alive]["weight"], shown[alive]["reasons"]) == (1, [])
            assert (shown[alive]["priority"], shown[alive]["zone"]) == (0, "eu-1")
            reasons = shown[DEAD]["reasons"]
            assert [one["worker"] for one in reasons] == [*range(1, workers + 1)]
            assert {one["state"] for one in reasons} == {"failing"}
            assert all(one["reason"] for one in reasons)

            (certificate,) = (await ask_json(admin, "/certificates"))["certificates"]
            assert certificate["setting"] == "upstreams.other.tls.ca_file"
            assert certificate["file"] == str(ca)
            assert certificate["subject"].startswith("O=trustme")
            assert certificate["not_after"].endswith("Z")

            origins = (await ask_json(admin, "/config/origins"))["origins"]
            assert origins["upstreams.echo.targets"] == f"{file}: line 3"
            assert origins["admin.listen"] == "environment"
            assert origins["listen"] == "flags"
            assert "json.emit_unset" not in origins

            if workers == 1:
                return
            hung, *_ = (await ask_json(admin, "/workers"))["workers"]
            os.kill(hung["pid"], signal.SIGSTOP)
            found = await ask_json(admin, "/upstreams")  # it does not wait for a worker that hangs
            assert found["workers_responding"] == 1
            gateway.process.kill()
