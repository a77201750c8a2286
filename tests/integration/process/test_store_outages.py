"""A Redis that freezes, dies, hands over or is cut off, as clients of running gateways see it.

`STORE_DOWN_S=10 pytest ...` makes each outage longer than it is in CI.
"""

import asyncio
import os
import signal
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from tests.support.network import namespace
from tests.support.polling import first
from tests.support.redis_server import free_port, redis_process, sentinel
from tests.support.store_outage import BACK_S, LONGEST_S, PROMISED_S, Node, nodes

pytestmark = pytest.mark.slow

DOWN_S = float(os.environ.get("STORE_DOWN_S", "2.5"))
"""Seconds for which the store is gone; `PROMISED_S` of them say nothing."""


def assert_bounded(node: Node, revoked_s: float) -> None:
    """No request hung, and none with the revoked token was answered when that was over."""
    assert node.slowest_s() < LONGEST_S
    assert node.doomed.between(revoked_s + PROMISED_S) <= {401, 503}


def assert_closed(node: Node, down_s: float, up_s: float) -> None:
    """Nobody with a token was admitted while the store was gone; all were again soon after."""
    assert node.live.between(down_s + PROMISED_S, up_s) == {503}
    assert_back(node, up_s)


def assert_back(node: Node, up_s: float) -> None:
    """The store was used again soon after it was back."""
    assert node.live.between(up_s + BACK_S) == {200}
    assert node.doomed.between(up_s + BACK_S) == {401}


def report(node: Node, up_s: float) -> None:
    """Prints the figures that `docs/operations.md` names."""
    back_s = max(one.back_after_s(up_s) for one in node.kinds)
    print(f"slowest {node.slowest_s():.3f} s, used again after {back_s:.2f} s")


def durable(place: Path) -> list[str]:
    """Options of a Redis that has everything again after it was killed."""
    place.mkdir()
    return ["--dir", str(place), "--save", "", "--appendonly", "yes", "--appendfsync", "always"]


async def test_a_redis_that_freezes_delays_nobody(tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with redis_process(port, ["--save", ""]) as redis:
        async with nodes(tmp_path, [url], url, "open") as found:
            (node,) = found
            revoked_s = await found.revoke()
            down_s = time.monotonic()
            redis.send_signal(signal.SIGSTOP)
            await asyncio.sleep(DOWN_S)
            redis.send_signal(signal.SIGCONT)
            up_s = time.monotonic()
            await asyncio.sleep(BACK_S)
            await node.keeps_answering()
    report(node, up_s)
    assert_bounded(node, revoked_s)
    assert_closed(node, down_s, up_s)
    assert node.limited.between(0) == {200}


async def test_a_redis_that_is_killed_comes_back_with_what_it_knew(tmp_path: Path) -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    options = durable(tmp_path / "redis")
    with ExitStack() as stack:
        redis = stack.enter_context(redis_process(port, options))
        async with nodes(tmp_path, [url], url, "closed") as found:
            (node,) = found
            revoked_s = await found.revoke()
            down_s = time.monotonic()
            redis.kill()
            await asyncio.sleep(DOWN_S)
            # Its cache of scripts is empty now.
            stack.enter_context(redis_process(port, options))
            up_s = time.monotonic()
            await asyncio.sleep(BACK_S)
            await node.keeps_answering()
    report(node, up_s)
    assert_bounded(node, revoked_s)
    assert_closed(node, down_s, up_s)
    assert node.limited.between(down_s + PROMISED_S, up_s) == {503}
    assert node.limited.between(up_s + BACK_S) == {200}


async def test_a_master_that_dies_is_followed_by_its_replica(tmp_path: Path) -> None:
    former, port = free_port(), free_port()
    with ExitStack() as stack:
        # A master that has a new replica writes a file for it.
        options = ["--save", "", "--dir", str(tmp_path), "--repl-diskless-sync-delay", "0"]
        master = stack.enter_context(redis_process(former, options))
        follows = ["--replicaof", "127.0.0.1", str(former)]
        stack.enter_context(redis_process(port, [*options, *follows]))
        watcher = stack.enter_context(sentinel(former, tmp_path))
        url = f"redis+sentinel://127.0.0.1:{watcher}/main/0"
        async with Redis(port=port) as other, Redis(port=watcher) as asked:
            await first(asked.sentinel_masters, _has_replica, within_s=30)
            await first(lambda: other.info("replication"), _is_joined, within_s=30)
            async with nodes(tmp_path, [url], url, "local") as found:
                (node,) = found
                revoked_s = await found.revoke()
                async with Redis(port=former) as one:
                    assert await one.wait(1, 5000) == 1
                down_s = time.monotonic()
                master.kill()
                await first(lambda: other.info("replication"), _leads, within_s=30)
                up_s = time.monotonic()
                await asyncio.sleep(BACK_S)
                await node.keeps_answering()
    report(node, up_s)
    print(f"the replica led after {up_s - down_s:.2f} s")
    assert_bounded(node, revoked_s)
    assert_back(node, up_s)
    assert node.limited.between(0) == {200}


def _has_replica(masters: Any) -> bool:
    return int(masters["main"]["num-slaves"]) == 1


def _is_joined(replication: Any) -> bool:
    return bool(replication.get("master_link_status") == "up")


def _leads(replication: Any) -> bool:
    return bool(replication["role"] == "master")


async def test_a_node_that_is_cut_off_lets_no_revoked_token_live(tmp_path: Path) -> None:
    port = free_port()
    with namespace() as network, ExitStack() as stack:
        near_way, far_way = network.link(), network.link()
        options = ["--save", "", "--protected-mode", "no", "--bind", "0.0.0.0"]
        stack.enter_context(
            redis_process(port, options, host=near_way.address, inside=network.inside)
        )
        urls = [f"redis://{way.address}:{port}/0" for way in (near_way, far_way)]
        async with nodes(tmp_path, urls, urls[0], "local") as found:
            near, far = found
            down_s = time.monotonic()
            far_way.cut()
            revoked_s = await found.revoke()
            await asyncio.sleep(DOWN_S)
            far_way.mend()
            up_s = time.monotonic()
            await asyncio.sleep(BACK_S)
            await asyncio.gather(near.keeps_answering(), far.keeps_answering())
    report(far, up_s)
    for node in (near, far):
        assert_bounded(node, revoked_s)
        assert node.limited.between(0) == {200}
    assert_closed(far, down_s, up_s)
    assert near.live.between(0) == {200}
