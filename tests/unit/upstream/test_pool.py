"""Which upstream serves a service, and what is said where that is not clear."""

import sys
from collections.abc import Mapping
from pathlib import Path
from unittest.mock import patch

import pytest

from gateway.config.upstreams import ChannelKind, TlsClient, Upstream
from gateway.status import StatusError
from gateway.upstream.pool import CHANNELS, Pool, PoolError, open_pool
from tests.support.channel import ScriptedChannel
from tests.support.grpc_backend import bytes_backend, method

SHELVES = "library.v1.Shelves"


def pool_of(**services: tuple[str, ...]) -> Pool:
    """Upstreams by name, each with the services it is configured for."""
    upstreams = {name: Upstream(target="x:1", services=named) for name, named in services.items()}
    return Pool(upstreams, {name: ScriptedChannel() for name in upstreams})


@pytest.mark.parametrize(
    ("services", "chosen"),
    [
        pytest.param({"a": ()}, "a", id="the only one serves all"),
        pytest.param({"a": (), "b": (SHELVES,)}, "b", id="a name beats no names"),
        pytest.param({"a": (), "b": ("other.v1.*",)}, "a", id="the rest goes to the open one"),
        pytest.param({"a": ("*",), "b": ("library.*",)}, "b", id="a package beats a star"),
        pytest.param({"a": ("library.*",), "b": ("library.v1.*",)}, "b", id="longest pattern"),
        pytest.param({"a": ("library.v1.*",), "b": ("library.*",)}, "a", id="in any order"),
        pytest.param({"a": ("library.v1.*",), "b": (SHELVES,)}, "b", id="a name beats a pattern"),
        pytest.param({"a": ("library.v1.*", SHELVES), "b": ("library.v1.*",)}, "a", id="best of"),
        pytest.param({"a": ("*",), "b": ()}, "a", id="a star is a name too"),
        pytest.param({"a": (), "b": ("library.v1.Shelf",)}, "a", id="a prefix is no name"),
        pytest.param({"a": (), "b": ("library.v1.Shel.*",)}, "a", id="packages match whole parts"),
        pytest.param({"a": (), "b": ("library.v1",)}, "a", id="a package needs its star"),
    ],
)
def test_a_service_goes_to_the_upstream_that_names_it_best(
    services: Mapping[str, tuple[str, ...]], chosen: str
) -> None:
    pool = pool_of(**services)
    assert pool.assign([SHELVES])[SHELVES] is pool[chosen]


@pytest.mark.parametrize(
    ("services", "chosen"),
    [
        pytest.param({"a": (), "b": ()}, "b", id="reflection decides between open ones"),
        pytest.param({"a": ("library.*",), "b": ()}, "a", id="configuration beats reflection"),
        pytest.param({"a": (), "b": ("other.*",)}, "b", id="reflection beats an open one"),
    ],
)
def test_what_an_upstream_says_of_itself_counts_after_what_is_configured(
    services: Mapping[str, tuple[str, ...]], chosen: str
) -> None:
    pool = pool_of(**services)
    assert pool.assign([SHELVES], {SHELVES: "b"})[SHELVES] is pool[chosen]


def test_every_service_gets_its_own_channel() -> None:
    pool = pool_of(a=("a.*",), b=("b.*",), rest=())
    channels = pool.assign(["a.X", "b.Y", "c.Z", "a.W"])
    assert channels == {
        "a.X": pool["a"],
        "b.Y": pool["b"],
        "c.Z": pool["rest"],
        "a.W": pool["a"],
    }
    assert list(pool) == ["a", "b", "rest"]


def test_services_nobody_serves_are_all_named() -> None:
    with pytest.raises(PoolError) as raised:
        pool_of(a=("a.*",)).assign(["z.Z", "a.X", "b.Y"])
    assert str(raised.value) == (
        "no upstream serves b.Y, z.Z: "
        "name it in upstreams.<name>.services, or add --upstream HOST:PORT"
    )


def test_without_upstreams_no_service_is_served() -> None:
    with pytest.raises(PoolError, match=r"no upstream serves a\.X"):
        pool_of().assign(["a.X"])
    assert pool_of().assign([]) == {}


@pytest.mark.parametrize(
    "services",
    [
        pytest.param({"a": (), "b": ()}, id="both open"),
        pytest.param({"a": ("library.*",), "b": ("library.*",)}, id="one pattern twice"),
        pytest.param({"a": (SHELVES,), "b": (SHELVES,)}, id="one name twice"),
    ],
)
def test_a_service_two_upstreams_claim_alike_is_refused(
    services: Mapping[str, tuple[str, ...]],
) -> None:
    with pytest.raises(PoolError) as raised:
        pool_of(**services).assign([SHELVES])
    assert str(raised.value) == (
        "library.v1.Shelves could go to a or b: "
        "name it in the services of one of them (upstreams.a.services)"
    )


def test_all_that_does_not_fit_is_said_at_once() -> None:
    with pytest.raises(PoolError) as raised:
        pool_of(a=("x.*", "y.*"), b=("x.*", "y.*")).assign(["y.Y", "x.X", "none.N"])
    said = str(raised.value)
    assert [said.index(name) for name in ("none.N", "x.X", "y.Y")] == sorted(
        said.index(name) for name in ("none.N", "x.X", "y.Y")
    )


@pytest.mark.parametrize("kind", list(ChannelKind), ids=str)
def test_every_kind_of_channel_can_be_opened(kind: ChannelKind) -> None:
    assert kind in CHANNELS


async def test_opening_a_pool_connects_to_nothing() -> None:
    upstreams = {"library": Upstream(target="127.0.0.1:1"), "other": Upstream(target="no.host:1")}
    async with open_pool(upstreams) as pool:
        assert list(pool) == ["library", "other"]
        assert pool["library"] is not pool["other"]


async def test_leaving_a_pool_closes_its_channels() -> None:
    async with bytes_backend() as backend:
        async with open_pool({"library": Upstream(target=backend.target)}) as pool:
            assert (await pool["library"].call(method("Echo"), b"x", [], 5)).message == b"x"
        with pytest.raises(StatusError, match='upstream "library" is unavailable'):
            await pool["library"].call(method("Echo"), b"x", [], 5)


async def test_a_tls_file_that_cannot_be_read_is_named_with_its_setting(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    upstreams = {"library": Upstream(target="x:1", tls=TlsClient(ca_file=missing))}
    with pytest.raises(PoolError) as raised:
        async with open_pool(upstreams):
            pytest.fail("it must not open")
    assert str(raised.value) == f"upstreams.library.tls: {missing}: No such file or directory"


async def test_a_package_that_is_not_there_is_named_with_its_upstream() -> None:
    others = {name: one for name, one in sys.modules.items() if not name.startswith("dns.")}
    others.pop("gateway.upstream.dns_servers", None)
    upstreams = {"library": Upstream(target="srv:///_grpc._tcp.library.test")}
    without = patch.dict("sys.modules", others | {"dns": None}, clear=True)
    with without, pytest.raises(PoolError) as raised:
        async with open_pool(upstreams):
            pytest.fail("it must not open")
    assert "upstreams.library: " in str(raised.value)
    assert "pip install 'grpc-rest-gateway[dns]'" in str(raised.value)


@pytest.mark.parametrize("given", ["cert_file", "key_file"])
def test_a_certificate_and_its_key_come_together(given: str) -> None:
    with pytest.raises(ValueError, match="cert_file and key_file belong together"):
        TlsClient.model_validate({given: "one.pem"})
