"""Several gateways that share a Redis, as `gateway nodes` lists them."""

import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.integration.process.test_admin import ask, ask_json
from tests.integration.process.test_drain import served
from tests.support.command_line import run
from tests.support.polling import first
from tests.support.redis_server import free_port, redis_server

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]


def settings(admin: Path, store: str, **more: object) -> dict[str, object]:
    return {"ADMIN__LISTEN": f"unix:{admin}", "RATE_LIMITS__STORE": store} | more


def states(found: dict[str, Any]) -> list[str]:
    return [one["state"] for one in found["nodes"]]


async def test_nodes_are_listed_with_their_differences_until_they_end(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("one", "two", "three")]
    admins = [place / "admin.sock" for place in places]
    with redis_server() as store:
        async with AsyncExitStack() as stack:
            for place in places:
                place.mkdir()
            # `/config` shows this address, so the nodes would differ in it.
            for place, workers in zip(places, (1, 2, 1), strict=True):
                await stack.enter_async_context(
                    served(place, workers, settings=settings(place / "admin.sock", store))
                )
            found = await first(
                lambda: ask_json(admins[0], "/nodes"),
                lambda found: states(found) == ["ready"] * 3,
                within_s=40,
            )
            assert found["is_shared"]
            assert len({one["id"] for one in found["nodes"]}) == 3
            assert len({one["routes"] for one in found["nodes"]}) == 1
            assert set(found["differences"]) == {"config"}
            shown = await asyncio.to_thread(run, "nodes", "--admin", f"unix:{admins[1]}")
            assert shown.returncode == 0, shown.stderr
            assert "this node" in shown.stdout
            # A rollout may be going on: it is a warning only when it lasts.
            assert "note: the nodes differ in config, for " in shown.stderr
            assert found["differ_for_s"] < 60
            assert [one["generation"] for one in found["nodes"]] == [1, 1, 1]
            await ask(admins[0], "/reload", "POST", "Content-Type: application/json")
            await first(
                lambda: ask_json(admins[1], "/nodes"),
                lambda found: sorted(one["generation"] for one in found["nodes"]) == [1, 1, 2],
                within_s=20,
            )
            as_json = await asyncio.to_thread(
                run, "nodes", "--json", "--admin", f"unix:{admins[2]}"
            )
            assert len(json.loads(as_json.stdout)["nodes"]) == 3

            await ask(admins[2], "/drain", "POST", "Content-Type: application/json")
            await first(
                lambda: ask_json(admins[0], "/nodes"),
                lambda found: sorted(states(found)) == ["draining", "ready", "ready"],
            )


async def test_a_node_that_ends_leaves_and_a_killed_one_is_seen_as_silent(tmp_path: Path) -> None:
    places = [tmp_path / name for name in ("stays", "ends", "killed")]
    admin = places[0] / "admin.sock"
    with redis_server() as store:
        async with AsyncExitStack() as stack:
            for place in places:
                place.mkdir()
            _, ends, killed = [
                await stack.enter_async_context(
                    served(place, settings=settings(place / "admin.sock", store))
                )
                for place in places
            ]
            await first(lambda: ask_json(admin, "/nodes"), lambda found: len(found["nodes"]) == 3)
            ends.process.send_signal(signal.SIGTERM)
            assert await ends.ended() == 0
            left = await ask_json(admin, "/nodes")
            assert len(left["nodes"]) == 2
            killed.process.kill()
            await killed.process.wait()
            silent = await first(
                lambda: ask_json(admin, "/nodes"),
                lambda found: max(one["last_seen_s"] for one in found["nodes"]) > 13,
                within_s=40,
            )
            assert len(silent["nodes"]) == 2
            gone = await first(
                lambda: ask_json(admin, "/nodes"),
                lambda found: len(found["nodes"]) == 1,
                within_s=60,
            )
            assert gone["differences"] == {}


async def test_without_redis_only_this_node_is_known(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}):
        found = await ask_json(admin, "/nodes")
        shown = await asyncio.to_thread(run, "nodes", "--admin", f"unix:{admin}")

    assert not found["is_shared"]
    assert states(found) == ["ready"]
    assert "only this node is known" in shown.stderr


async def test_a_store_that_is_gone_is_told_and_harms_nothing(tmp_path: Path) -> None:
    admin, nowhere = tmp_path / "admin.sock", f"redis://127.0.0.1:{free_port()}/0"
    async with served(tmp_path, settings=settings(admin, nowhere)):
        _, text = await first(
            lambda: ask(admin, "/nodes"), lambda found: found[0] == 503, within_s=20
        )
        assert "the nodes are not known: redis at 127.0.0.1" in text
        assert (await ask(admin, "/readyz"))[0] == 200
