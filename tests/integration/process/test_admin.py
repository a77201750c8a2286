"""The admin listener of a real gateway, and the commands that speak to it."""

import asyncio
import json
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

from gateway.config.loader import ConfigError, load_config
from tests.integration.process.test_drain import Served, served
from tests.support.command_line import run
from tests.support.polling import first

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
TOKEN = "0123456789abcdef0123456789abcdef"


async def ask(
    place: Path | int, path: str, method: str = "GET", *lines: str, body: str = ""
) -> tuple[int, str]:
    """One request to an admin listener; its status and body."""
    opening = (
        asyncio.open_unix_connection(place)
        if isinstance(place, Path)
        else asyncio.open_connection("127.0.0.1", place)
    )
    async with asyncio.timeout(15):
        reader, writer = await opening
        host = [] if any(line.startswith("Host:") for line in lines) else ["Host: localhost"]
        head = [f"{method} {path} HTTP/1.1", *host, f"Content-Length: {len(body)}", *lines]
        writer.write("\r\n".join([*head, "", body]).encode())
        answer = (await reader.read()).decode()
        writer.close()
    head_text, _, text = answer.partition("\r\n\r\n")
    return int(head_text.split(" ")[1]), text


async def ask_json(place: Path | int, path: str) -> Any:
    status, text = await ask(place, path)
    assert status == 200
    return json.loads(text)


JSON = "Content-Type: application/json"


@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_operators_see_and_change_a_gateway(tmp_path: Path, workers: int) -> None:
    admin = tmp_path / "admin.sock"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "HEALTH__PATH": "/healthz", "DRAIN__DELAY_S": 2}

    async def public_health(gateway: Served) -> int:
        return (await ask(gateway.port, "/healthz", "GET", "Connection: close"))[0]

    async with served(tmp_path, workers, settings=settings) as gateway:
        assert admin.stat().st_mode & 0o777 == 0o600
        for probe in ("/livez", "/readyz", "/startupz"):
            assert await ask(admin, probe) == (200, "ok\n")
        status = await first(
            lambda: ask_json(admin, "/status"),
            lambda found: found["workers"]["serving"] == workers,
            within_s=40,
        )
        assert (status["routes"], status["ready"], status["pid"]) == (8, True, gateway.process.pid)
        assert (await ask(gateway.port, "/v1/echo/a", "GET", "Connection: close"))[0] == 200
        _, text = await ask(admin, "/metrics")
        assert 'http_server_request_duration_seconds_count{http_route="/v1/echo/{text}"' in text
        found = (await ask_json(admin, "/workers"))["workers"]
        assert [one["state"] for one in found] == ["serving"] * workers
        assert {
            "http_method": "GET",
            "path": "/v1/echo/{text}",
            "method": "echo.v1.EchoService.Echo",
        } in (await ask_json(admin, "/routes"))["routes"]
        assert (await ask_json(admin, "/config"))["workers"] == workers
        for path in ("stacks", "gc", "profile", "memory"):
            assert (await ask(admin, f"/debug/{path}", "POST", JSON))[0] == 404  # not set
        assert (await ask(admin, "/log/level", "PUT", JSON, body='{"level": "loud"}'))[0] == 400
        assert (await ask(admin, "/log/level", "PUT", body='{"level": "debug"}'))[0] == 415
        assert (await ask(admin, "/log/level", "PUT", JSON, body='{"level": "debug"}'))[0] == 200
        assert await ask_json(admin, "/log/level") == {"level": "debug"}

        assert await public_health(gateway) == 200
        assert (await ask(admin, "/drain", "POST", JSON))[0] == 200
        assert await ask(admin, "/readyz") == (503, "draining\n")
        await first(lambda: public_health(gateway), lambda code: code == 503)
        told = await asyncio.to_thread(run, "health", "--admin", f"unix:{admin}")
        assert (told.returncode, told.stderr) == (1, "gateway: not ready: draining\n")
        undone = await asyncio.to_thread(run, "drain", "--undo", "--admin", f"unix:{admin}")
        assert (undone.returncode, undone.stdout) == (0, "ready again\n")
        shown = await asyncio.to_thread(run, "status", "--admin", f"unix:{admin}")
        assert shown.stdout.startswith("ready; version ")
        assert f"worker {workers}: serving" in shown.stdout

        gateway.process.send_signal(signal.SIGTERM)
        await first(lambda: ask(admin, "/readyz"), lambda found: found == (503, "draining\n"))
        assert await gateway.ended() == 0
    gone = await asyncio.to_thread(run, "health", "--admin", f"unix:{admin}")
    assert gone.returncode == 1
    assert "is the gateway running?" in gone.stderr


async def test_the_supervisor_answers_while_its_workers_hang(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "SUPERVISOR__HANG_S": 60}
    async with served(tmp_path, 2, settings=settings) as gateway:
        status = await first(
            lambda: ask_json(admin, "/workers"),
            lambda found: all(one["state"] == "serving" for one in found["workers"]),
            within_s=40,
        )
        for worker in status["workers"]:
            os.kill(worker["pid"], signal.SIGSTOP)
        found = await first(
            lambda: ask_json(admin, "/workers"),
            lambda found: all(one["state"] == "hung" for one in found["workers"]),
        )
        assert [one["connections"] for one in found["workers"]] == [None, None]
        assert await ask(admin, "/readyz") == (503, "no worker serves\n")
        gateway.process.kill()


async def test_a_token_and_an_own_host_are_asked_for(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"ADMIN__LISTEN": f"127.0.0.1:{port}", "ADMIN__TOKEN_FILE": tmp_path / "token"}
    async with served(tmp_path, settings=settings):
        bearer = f"Authorization: Bearer {TOKEN}"
        assert (await ask(port, "/status"))[0] == 401
        assert (await ask(port, "/status", "GET", bearer + "x"))[0] == 401
        assert (await ask(port, "/status", "GET", bearer))[0] == 200
        assert (await ask(port, "/status", "GET", bearer, "Host: evil.example"))[0] == 421
        assert (await ask(port, "/none", "GET", bearer))[0] == 404
        assert (await ask(port, "/drain", "GET", bearer))[0] == 405
        assert (await ask(port, "/drain", "POST", bearer, "Transfer-Encoding: chunked"))[0] == 411


@pytest.mark.parametrize("listen", ["0.0.0.0:9901", "[::]:9901", ":9901", "admin.example:9901"])
def test_an_open_listener_without_a_token_is_refused(listen: str) -> None:
    with pytest.raises(ConfigError, match=r"admin\.listen: .* is open to other machines"):
        load_config(None, {}, {"admin": {"listen": listen}})


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_weak_token_is_refused_at_the_start(tmp_path: Path, workers: str) -> None:
    (tmp_path / "token").write_text("short\n")
    done = run(
        *("serve", "--workers", workers, "--module", "gen.echo.v1", "--upstream", "localhost:1"),
        *("--listen", "127.0.0.1:0"),
        GATEWAY_ADMIN__LISTEN=f"unix:{tmp_path}/admin.sock",
        GATEWAY_ADMIN__TOKEN_FILE=str(tmp_path / "token"),
    )
    assert done.returncode == 1
    assert "expected one line of at least 16 letters" in done.stderr
