"""The servers that one process chooses: of a subset, the others get no connection."""

import asyncio
from collections import Counter
from typing import Any

import pytest

from gateway.upstream.endpoint import Endpoint
from gateway.upstream.subsetting import own_seed, shuffled
from tests.support.balanced import channel_at, channel_to, names, servers, spreads, states


async def test_only_a_subset_of_the_servers_is_connected_to() -> None:
    async with servers(5) as running:
        targets = [one.target for one in running]
        async with channel_to(targets, subset_size=2) as channel:
            await spreads(channel, 2)
            chosen = states(channel)
            assert len(chosen) == 2
            assert set(await names(channel, 30)) == {target.encode() for target in chosen}
            assert sum(one.calls > 0 for one in running) == 2


async def test_with_shuffle_the_first_server_is_the_one_that_this_process_drew() -> None:
    async with servers(5) as running:
        targets = [one.target for one in running]
        drawn, second, *_ = shuffled([Endpoint((one,)) for one in targets], own_seed())
        # Listed after the others, so that the order of the settings does not choose it.
        targets.sort(key=lambda one: (one == str(drawn), one == str(second)))
        async with channel_to(targets, balance="pick_first", shuffle=True) as channel:
            await names(channel, 1)
            async with asyncio.timeout(10):
                while await names(channel, 1) != [str(drawn).encode()]:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            assert set(await names(channel, 5)) == {str(drawn).encode()}


@pytest.mark.parametrize("is_shuffled", [False, True])
async def test_with_shuffle_each_connection_to_a_name_draws_among_its_addresses(
    monkeypatch: pytest.MonkeyPatch, is_shuffled: bool
) -> None:
    async with servers(3) as running:
        loop = asyncio.get_running_loop()
        real = loop.getaddrinfo

        async def getaddrinfo(host: str, port: int, **options: Any) -> list[Any]:
            if host != "library.test":
                return await real(host, port, **options)
            pairs = [one.target.rpartition(":") for one in running]
            return [(2, 1, 6, "", (host, int(port))) for host, _, port in pairs]

        monkeypatch.setattr(loop, "getaddrinfo", getaddrinfo)
        found: Counter[bytes] = Counter()
        for _ in range(20):
            settings = {"balance": "pick_first", "shuffle": is_shuffled}
            async with channel_at("library.test:1", **settings) as channel:
                found.update(await names(channel, 1))
    assert len(found) == (3 if is_shuffled else 1)
