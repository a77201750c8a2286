"""A name whose addresses change under load: a real DNS server, servers in processes, a gateway."""

import sys
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.dns_server import dns_server
from tests.support.load import load_by, over_http
from tests.support.polling import until
from tests.support.server_process import ServerProcess, gateway_settings, processed

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        sys.platform != "linux", reason="only Linux has all of 127.0.0.0/8 on its loopback"
    ),
]

OLD, NEW = ("127.0.0.2", "127.0.0.3"), ("127.0.0.4", "127.0.0.3")


async def test_new_addresses_are_followed_and_no_call_fails(tmp_path: Path) -> None:
    hosts = sorted({*OLD, *NEW})
    first = ServerProcess(hosts[0], tmp_path / "0", hosts[0])
    first.speaks_messages = True
    async with AsyncExitStack() as stack:
        stack.push_async_callback(first.end)
        await first.start()
        servers = [first]
        for host in hosts[1:]:
            servers.append(ServerProcess(host, tmp_path / host, host, first.port))
            servers[-1].speaks_messages = True
            stack.push_async_callback(servers[-1].end)
            await servers[-1].start()
        names = await stack.enter_async_context(dns_server(OLD))
        dns = {"refresh_s": 0.3, "min_interval_s": 0.1}
        target = f"dns://127.0.0.1:{names.port}/library.test:{first.port}"
        config = gateway_settings(tmp_path, target=target, dns=dns)
        gateway = await stack.enter_async_context(open_gateway(Config.model_validate(config)))
        async with load_by(over_http(gateway)) as load:
            await load.spreads_over(OLD)
            names.addresses = NEW
            await load.spreads_over(NEW, within_s=10)
            await first.end()  # killed: nothing is under way there
            await load.more(100)
            names.addresses = []
            asked = names.asked
            await until(lambda: names.asked > asked + 1)
            await load.more(100)  # the last addresses stay in use
    assert load.failed == {"Read": [], "Write": []}
    counted = processed(servers)
    assert max(counted.values()) == 1
