"""Servers that come back: they get few calls at first, then their share."""

from collections import Counter

from tests.support.balanced import balanced, names, spreads, states
from tests.support.polling import until


async def test_a_server_that_comes_back_gets_its_share_bit_by_bit() -> None:
    async with balanced(3, slow_start_s=600) as (servers, channel):
        counted = Counter(await names(channel, 90))
        assert {counted[one.name] for one in servers} == {30}, "those of the start begin together"
        back = servers[2]
        await back.kill()
        await until(lambda: states(channel)[back.target][0] == "failing")
        await back.restart()
        await until(lambda: states(channel)[back.target][0] == "ready")
        counted = Counter(await names(channel, 210))
        # A tenth of the share of each other, for the first minute of ten.
        assert 8 <= counted[back.name] <= 12
        assert abs(counted[servers[0].name] - counted[servers[1].name]) <= 1


async def test_the_whole_share_follows_the_window() -> None:
    async with balanced(3, slow_start_s=0.2) as (servers, channel):
        await servers[2].kill()
        await until(lambda: states(channel)[servers[2].target][0] == "failing")
        await servers[2].restart()
        await spreads(channel, 3)

        async def shares() -> set[int]:
            return set(Counter(await names(channel, 30)).values())

        for _ in range(50):
            if await shares() == {10}:
                break
        else:
            raise AssertionError("the shares never became equal")
