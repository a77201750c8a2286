"""A subset of real servers: the others get no connection."""

from tests.support.balanced import channel_to, names, servers, spreads, states


async def test_only_a_subset_of_the_servers_is_connected_to() -> None:
    async with servers(5) as running:
        targets = [one.target for one in running]
        async with channel_to(targets, subset_size=2) as channel:
            await spreads(channel, 2)
            chosen = states(channel)
            assert len(chosen) == 2
            assert set(await names(channel, 30)) == {target.encode() for target in chosen}
            assert sum(one.calls > 0 for one in running) == 2
