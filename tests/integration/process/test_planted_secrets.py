"""Secrets in every setting that takes one are shown nowhere: to operators, in logs, in a crash."""

import asyncio
import json
import os
import signal
import sys
from pathlib import Path

import pytest

from tests.integration.process.test_admin import JSON, ask
from tests.integration.process.test_drain import served
from tests.support.command_line import run

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
PLANTED = "planted5ecret"
SHOWN = (
    "/config", "/config/origins", "/status", "/workers", "/routes", "/upstreams", "/nodes",
    "/certificates", "/traffic", "/failures", "/metrics", "/keys", "/readyz?verbose",
    "/debug/stacks", "/openapi.json",
)  # fmt: skip


def planted(place: Path) -> dict[str, str]:
    """The settings; no store and no collector can be reached, so each failure is told, too."""
    token = place / "token"
    token.write_text(f"{PLANTED}-of-the-admin\n")
    away = "127.0.0.1:1"
    return {
        "ADMIN__LISTEN": f"unix:{place}/admin.sock",
        "ADMIN__TOKEN_FILE": str(token),
        "ADMIN__DEBUG": "true",
        "AUTH__STORE": f"redis://user:{PLANTED}@{away}/0",
        "AUTH__ANONYMOUS": "true",
        "RATE_LIMITS__STORE": f"postgres://user:{PLANTED}@{away}/db",
        "IDEMPOTENCY__STORE": f"redis://{away}/0?username=u&password={PLANTED}",
        "METRICS__OTLP": f"http://{away}",
        "METRICS__OTLP_HEADERS": f"{{authorization: {PLANTED}}}",
        "TRACING__OTLP": f"http://{away}",
        "TRACING__HEADERS": f"{{authorization: {PLANTED}}}",
        "LOG__EVENTS": str(place / "events"),
        "LOG__LEVEL": "debug",
        "SUPERVISOR__ALWAYS": "true",
    }


async def test_they_are_shown_nowhere(tmp_path: Path) -> None:
    settings, admin = planted(tmp_path), tmp_path / "admin.sock"
    bearer = f"Authorization: Bearer {PLANTED}-of-the-admin"
    texts: dict[str, str] = {}
    async with served(tmp_path, settings=settings) as gateway:
        for path in SHOWN:
            texts[path] = (await ask(admin, path, "GET", bearer))[1]
        texts["reload"] = (await ask(admin, "/reload", "POST", JSON, bearer, body="{}"))[1]
        texts["no token"] = (await ask(admin, "/config", "GET", "Authorization: Bearer x"))[1]
        (victim, *_) = json.loads(texts["/workers"])["workers"]
        os.kill(victim["pid"], signal.SIGABRT)
        await gateway.until(r"another is started")
        environment = {f"GATEWAY_{name}": value for name, value in settings.items()}
        doctor = ("--descriptors", "gen/descriptors.binpb", "--service", "echo.v1.*")
        commands: dict[str, tuple[str, ...]] = {
            "config": (),
            "doctor": (*doctor, "--upstream", "127.0.0.1:1"),
            "status": (),
        }
        for command, flags in commands.items():
            done = await asyncio.to_thread(run, command, *flags, **environment)
            texts[command] = done.stdout + done.stderr
        texts["stderr"] = gateway.said
    texts["events"] = (tmp_path / "events").read_text()
    assert all(texts.values())
    assert "***" in texts["/config"]
    assert "***" in texts["config"]
    assert [name for name, text in texts.items() if PLANTED in text] == []
