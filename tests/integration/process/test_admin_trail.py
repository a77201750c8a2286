"""The audit trail of a real gateway: what operators change, and who they are."""

import getpass
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import JSON, TOKEN, ask
from tests.integration.process.test_drain import served
from tests.support.polling import first
from tests.support.redis_server import free_port

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
both = pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])


async def lines(trail: Path, count: int) -> list[dict[str, Any]]:
    """The lines of operators in a trail, once there are so many."""

    def of_operators() -> list[dict[str, Any]]:
        every = [json.loads(line) for line in trail.read_text().splitlines()]
        return [one for one in every if one["event.name"].startswith("admin.")]

    async def found() -> list[dict[str, Any]]:
        return of_operators()

    return await first(found, lambda every: len(every) >= count, within_s=20)


@both
async def test_changes_are_recorded_with_their_author(tmp_path: Path, workers: int) -> None:
    admin, trail = tmp_path / "admin.sock", tmp_path / "audit.log"
    settings = {"ADMIN__LISTEN": f"unix:{admin}", "LOG__AUDIT": trail}
    async with served(tmp_path, workers, settings=settings):
        assert (await ask(admin, "/status"))[0] == 200
        assert (await ask(admin, "/drain", "POST", JSON))[0] == 200
        assert (await ask(admin, "/log/level", "PUT", JSON, body='{"level": "debug"}'))[0] == 200
        assert (await ask(admin, "/log/level", "PUT", JSON, body='{"level": "loud"}'))[0] == 400
        assert (await ask(admin, "/undrain", "POST"))[0] == 415
        follow = json.dumps({"follower": "0" * 16})
        assert (await ask(admin, "/requests", "POST", JSON, body=follow))[0] == 200
        assert (await ask(admin, "/reload", "POST", JSON))[0] == 200
        found = await lines(trail, 5)
    told = [(one["event.name"], one["gateway.action"], one["gateway.status"]) for one in found]
    assert told == [
        ("admin.changed", "POST /drain", "200"),
        ("admin.changed", "PUT /log/level", "200"),
        ("admin.refused", "PUT /log/level", "400"),
        ("admin.refused", "POST /undrain", "415"),
        ("admin.changed", "POST /reload", "200"),
    ]
    assert found[1]["gateway.change"] == '{"level": "debug"}'
    assert {one["enduser.id"] for one in found} == {getpass.getuser()}
    assert [one["gateway.outcome"] for one in found[1:3]] == ["success", "failure"]


@both
async def test_a_log_level_for_a_time_falls_back(tmp_path: Path, workers: int) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, workers, settings={"ADMIN__LISTEN": f"unix:{admin}"}):
        for wrong in ('"1"', "0", "true", "1e9"):
            body = f'{{"level": "debug", "for_s": {wrong}}}'
            assert (await ask(admin, "/log/level", "PUT", JSON, body=body))[0] == 400
        body = '{"level": "debug", "for_s": 0.5}'
        assert (await ask(admin, "/log/level", "PUT", JSON, body=body))[0] == 200

        async def level() -> Any:
            return json.loads((await ask(admin, "/log/level"))[1])["level"]

        assert await first(level, lambda found: found == "info", within_s=20) == "info"


@both
async def test_guesses_of_the_token_are_recorded_once_a_minute(
    tmp_path: Path, workers: int
) -> None:
    port, trail, token = free_port(), tmp_path / "audit.log", tmp_path / "token"
    token.write_text(TOKEN)
    token.chmod(0o600)
    settings = {
        "ADMIN__LISTEN": f"127.0.0.1:{port}",
        "ADMIN__TOKEN_FILE": token,
        "LOG__AUDIT": trail,
    }
    async with served(tmp_path, workers, settings=settings):
        guess = "Authorization: Bearer guessed-guessed-guessed"
        for _ in range(3):
            assert (await ask(port, "/status", "GET", guess))[0] == 401
        own = f"Authorization: Bearer {TOKEN}"
        assert (await ask(port, "/drain", "POST", own, JSON))[0] == 200
        found = await lines(trail, 2)
    assert [one["event.name"] for one in found] == ["admin.refused", "admin.changed"]
    assert [one["client.address"] for one in found] == ["127.0.0.1"] * 2
    assert "guessed" not in trail.read_text()
    assert TOKEN not in trail.read_text()
