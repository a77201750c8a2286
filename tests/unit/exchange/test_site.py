"""A site: everything that one configuration serves requests with, made once."""

import pytest

from gateway.config.forwarded import ForwardedOptions
from gateway.config.model import Config
from gateway.exchange.exchange import Exchange
from gateway.exchange.ring.ring import Ring
from gateway.exchange.site import Site
from gateway.http.forwarded import Forwarding
from gateway.http.messages import Request
from gateway.policy.deadlines import Deadlines
from gateway.status import Code
from gateway.transcoding.transcoder import build_transcoder
from tests.support.front_end import schema
from tests.support.site import PEER, Records, make_request, make_site
from tests.support.upstream import Upstream


def test_a_site_without_more_has_no_endpoints_and_no_ring() -> None:
    site = make_site(Upstream())
    assert (dict(site.endpoints.by_path), site.checks, site.hooks) == ({}, (), ())
    assert site.policies is None


def test_the_ring_is_taken_as_it_is_and_no_later_change_reaches_it() -> None:
    gates = [lambda request: None]
    site = make_site(Upstream(), ring=Ring(gates))
    gates.clear()
    assert len(site.checks) == 1


def test_checks_of_options_alone_refuse_no_get() -> None:
    def of_options(request: Request) -> None: ...

    def of_all(request: Request) -> None: ...

    rings = Ring(), Ring([of_options], of_options=[of_options])
    assert [make_site(Upstream(), ring=ring).checks_reads for ring in rings] == [False, False]
    ring = Ring([of_options, of_all], of_options=[of_options])
    assert make_site(Upstream(), ring=ring).checks_reads


@pytest.mark.parametrize("enabled", [True, False])
def test_a_site_says_whether_it_speaks_websocket(enabled: bool) -> None:
    site = make_site(Upstream(), websocket={"enabled": enabled})
    assert site.speaks_websocket is enabled
    assert Exchange(site).speaks_websocket is enabled


async def client_seen(site: Site) -> str:
    """The address of the client that a proxy's request names."""
    request = make_request(X_Forwarded_For="203.0.113.5")
    await Exchange(site).answer(request)
    return request.client


async def test_only_behind_trusted_proxies_is_a_client_another_than_the_peer() -> None:
    direct, upstream = make_site(Upstream()), Upstream()
    assert direct.client_of is None
    assert await client_seen(direct) == PEER
    behind = make_site(upstream, forwarded={"trusted_proxies": [f"{PEER}/32"]})
    assert await client_seen(behind) == "203.0.113.5"
    assert upstream.calls[0].peer == "203.0.113.5"


async def test_an_observer_gets_records_though_no_log_is_open() -> None:
    one, other = Records(), Records()
    site = make_site(Upstream(), observers=[one, other], log={"access": "off"})
    await Exchange(site).answer(make_request())
    assert [record.code for record in one] == [Code.OK]
    assert one[0] is other[0]


def test_forwarding_and_deadlines_that_are_given_are_used() -> None:
    config = Config()
    forwarding = Forwarding(ForwardedOptions(trusted_proxies=(PEER,)))
    transcoder = build_transcoder(config, schema())
    site = Site(
        config, transcoder, {}, forwarding=forwarding, deadlines=Deadlines(config.deadlines)
    )
    assert site.client_of == forwarding.client
    assert Site(config, transcoder, {}).client_of is None
