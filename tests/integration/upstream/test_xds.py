"""`channel: grpcio` with `xds:///`, by a small xDS server and real back ends."""

import asyncio
import json

import pytest

from gateway.status import StatusError
from tests.support.balanced import channel_at, names, servers
from tests.support.xds_server import xds_server

pytestmark = pytest.mark.slow


async def test_calls_go_where_the_xds_server_says_and_follow_a_change(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with servers(3) as running, xds_server("library", [running[0].target]) as xds:
        bootstrap = {
            "xds_servers": [
                {
                    "server_uri": xds.target,
                    "channel_creds": [{"type": "insecure"}],
                    "server_features": ["xds_v3"],
                }
            ],
            "node": {"id": "gateway"},
        }
        monkeypatch.setenv("GRPC_XDS_BOOTSTRAP_CONFIG", json.dumps(bootstrap))
        async with channel_at("xds:///library", channel="grpcio") as channel:
            assert set(await names(channel, 10)) == {running[0].name}, xds.rejected
            assert xds.accepted == {
                *("Listener", "RouteConfiguration", "Cluster", "ClusterLoadAssignment")
            }
            others = {one.name for one in running[1:]}
            await xds.change([one.target for one in running[1:]])
            seen: set[bytes] = set()
            async with asyncio.timeout(20):
                while seen != others:
                    try:
                        seen = set(await names(channel, 10))
                    except StatusError as failure:
                        pytest.fail(f"a change must fail no call: {failure.message}")
    assert not xds.rejected
