"""Which channels a new pool shares with the former one."""

import json
from pathlib import Path
from typing import Any

import pytest
import trustme

from gateway.config.upstreams import Upstream
from gateway.upstream.balancing import Balancing
from gateway.upstream.pool import open_pool


def upstreams(**settings: Any) -> dict[str, Upstream]:
    return {"shop": Upstream.model_validate({"target": "127.0.0.1:1"} | settings)}


async def is_kept(
    before: dict[str, Upstream],
    after: dict[str, Upstream],
    balancing: tuple[Balancing, Balancing] = (Balancing(), Balancing()),
) -> bool:
    async with (
        open_pool(before, balancing[0]) as former,
        open_pool(after, balancing[1], former) as pool,
    ):
        return pool["shop"] is former["shop"]


@pytest.mark.parametrize("kind", ["http2", "grpcio"])
async def test_a_channel_with_the_same_settings_is_kept(kind: str) -> None:
    same = {"channel": kind, "max_message_bytes": 1000}
    assert await is_kept(upstreams(**same), upstreams(**same))


@pytest.mark.parametrize(
    "change",
    [
        {"target": "127.0.0.1:2"},
        {"channel": "grpcio"},
        {"dns": {"refresh_s": 7}},
        {"outlier": {"consecutive": 9}},
        {"retries": "off"},
        {"tls": {"server_name": "a.example"}},
        {"max_connections": 9},
        {"grpc_service_config": {}},
    ],
    ids=str,
)
async def test_a_channel_with_other_settings_is_opened_anew(change: dict[str, Any]) -> None:
    assert not await is_kept(upstreams(), upstreams(**change))


@pytest.mark.parametrize("change", [{"services": ["shop.v1.*"]}, {"fallback": "other"}], ids=str)
async def test_the_ways_to_an_upstream_do_not_count(change: dict[str, Any]) -> None:
    assert await is_kept(upstreams(), upstreams(**change))


async def test_a_setting_that_is_stated_counts_where_a_service_config_replaces_the_others() -> None:
    assert not await is_kept(upstreams(), upstreams(retries="safe"))


@pytest.mark.parametrize("changed", ["ca_file", "cert_file", "key_file"])
async def test_the_content_of_tls_files_counts(tmp_path: Path, changed: str) -> None:
    files = {name: tmp_path / name for name in ("ca_file", "cert_file", "key_file")}

    def write() -> None:
        ca = trustme.CA()
        own = ca.issue_cert("localhost")
        ca.cert_pem.write_to_path(files["ca_file"])
        # In one file, so that each file that a setting names can change alone.
        for name in ("cert_file", "key_file"):
            own.private_key_and_cert_chain_pem.write_to_path(files[name])

    write()
    settings = upstreams(tls={name: str(file) for name, file in files.items()})
    assert await is_kept(settings, settings)
    async with open_pool(settings) as former:
        files[changed].write_bytes(files[changed].read_bytes() + b"\n")
        async with open_pool(settings, Balancing(), former) as pool:
            assert pool["shop"] is not former["shop"]


async def test_the_content_of_a_service_config_counts(tmp_path: Path) -> None:
    file = tmp_path / "service_config.json"
    file.write_text("{}")
    settings = upstreams(grpc_service_config=str(file))
    async with open_pool(settings) as former:
        async with open_pool(settings, Balancing(), former) as pool:
            assert pool["shop"] is former["shop"]
        file.write_text(json.dumps({"loadBalancingConfig": [{"round_robin": {}}]}))
        async with open_pool(settings, Balancing(), former) as pool:
            assert pool["shop"] is not former["shop"]


async def test_what_a_program_supplies_counts() -> None:
    one = upstreams()
    assert not await is_kept(one, one, (Balancing(), Balancing(zone="near")))


async def test_the_last_pool_closes_the_channel() -> None:
    settings = upstreams(targets=[{"address": "127.0.0.1:1"}], target=None)
    async with open_pool(settings) as former:
        async with open_pool(settings, Balancing(), former) as pool:
            pass
        assert len(list(former.endpoints())) == 1, "the former pool still uses it"
        assert pool["shop"] is former["shop"]
    assert list(former.endpoints()) == []
    async with open_pool(settings, Balancing(), former) as pool:
        assert pool["shop"] is not former["shop"], "it is closed"
