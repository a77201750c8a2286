"""What is believed of a client, and whom."""

import pytest
from multidict import CIMultiDict

from gateway.config.forwarded import ForwardedOptions
from gateway.http.forwarded import Forwarding

PROXY = "10.0.0.1"
FORWARDING = Forwarding(ForwardedOptions(trusted_proxies=("10.0.0.0/8", "fd00::/8")))


def told(*fields: tuple[str, str]) -> CIMultiDict[str]:
    return CIMultiDict([("Host", "gateway.test"), *fields])


def chain_of(peer: str, *fields: tuple[str, str]) -> str:
    return str(dict(FORWARDING.metadata(peer, told(*fields)))["x-forwarded-for"])


FOR = "X-Forwarded-For"


@pytest.mark.parametrize(
    ("peer", "fields", "client", "chain"),
    [
        pytest.param("1.1.1.1", [], "1.1.1.1", "1.1.1.1", id="alone"),
        pytest.param("1.1.1.1", [(FOR, "6.6.6.6")], "1.1.1.1", "1.1.1.1", id="not trusted"),
        pytest.param(PROXY, [], PROXY, PROXY, id="a proxy that says nothing"),
        pytest.param(PROXY, [(FOR, "2.2.2.2")], "2.2.2.2", "2.2.2.2, 10.0.0.1", id="one proxy"),
        pytest.param(
            PROXY,
            [(FOR, "6.6.6.6, 2.2.2.2, 10.0.0.2")],
            "2.2.2.2",
            "6.6.6.6, 2.2.2.2, 10.0.0.2, 10.0.0.1",
            id="two proxies, and what the client forged",
        ),
        pytest.param(
            PROXY,
            [(FOR, "6.6.6.6"), (FOR, "2.2.2.2")],
            "2.2.2.2",
            "6.6.6.6, 2.2.2.2, 10.0.0.1",
            id="a line of its own",
        ),
        pytest.param(
            PROXY,
            [(FOR, "6.6.6.6, unknown")],
            PROXY,
            "6.6.6.6, unknown, 10.0.0.1",
            id="nothing beyond someone unknown counts",
        ),
        pytest.param(
            PROXY,
            [(FOR, '2.2.2.2:99, "[fd00::1]:8080", fd00::2')],
            "2.2.2.2",
            "2.2.2.2, fd00::1, fd00::2, 10.0.0.1",
            id="ports and brackets",
        ),
        pytest.param(
            PROXY,
            [("Forwarded", 'by=3.3.3.3;For="[2001:db8::1]:4711", for=10.0.0.3')],
            "2001:db8::1",
            "2001:db8::1, 10.0.0.3, 10.0.0.1",
            id="RFC 7239",
        ),
        pytest.param(
            "::ffff:10.0.0.1",
            [(FOR, "2.2.2.2")],
            "2.2.2.2",
            "2.2.2.2, ::ffff:10.0.0.1",
            id="mapped",
        ),
        pytest.param(
            PROXY, [(FOR, "10.0.0.5")], "10.0.0.5", "10.0.0.5, 10.0.0.1", id="all trusted"
        ),
        pytest.param(PROXY, [(FOR, " , ,")], PROXY, PROXY, id="nobody in a list"),
        pytest.param("unix", [(FOR, "2.2.2.2")], "unix", "unix", id="a socket without addresses"),
    ],
)
def test_only_trusted_proxies_are_believed(
    peer: str, fields: list[tuple[str, str]], client: str, chain: str
) -> None:
    assert FORWARDING.client(peer, told(*fields)) == client
    assert chain_of(peer, *fields) == chain


def test_of_a_very_long_chain_the_end_counts() -> None:
    addresses = [f"2.0.{i // 250}.{i % 250}" for i in range(5000)]
    chain = chain_of(PROXY, (FOR, ", ".join(addresses))).split(", ")
    assert chain == [*addresses[-32:], PROXY]


@pytest.mark.parametrize(
    ("fields", "host", "proto"),
    [
        pytest.param([], "gateway.test", "http", id="nothing told"),
        pytest.param(
            [("X-Forwarded-Host", "api.test"), ("X-Forwarded-Proto", "https")],
            "api.test",
            "https",
            id="told",
        ),
        pytest.param(
            [("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "evil.test, api.test")],
            "api.test",
            "https",
            id="the nearest proxy's word",
        ),
        pytest.param(
            [("Forwarded", 'for=2.2.2.2;host="api.test:8443";proto=https')],
            "api.test:8443",
            "https",
            id="RFC 7239",
        ),
        pytest.param(
            [("X-Forwarded-Host", "a b"), ("X-Forwarded-Proto", "gopher")],
            "gateway.test",
            "http",
            id="not well-formed",
        ),
    ],
)
def test_a_trusted_proxy_tells_host_and_scheme(
    fields: list[tuple[str, str]], host: str, proto: str
) -> None:
    metadata = dict(FORWARDING.metadata(PROXY, told(*fields)))
    assert (metadata["x-forwarded-host"], metadata["x-forwarded-proto"]) == (host, proto)
    untrusted = dict(FORWARDING.metadata("1.1.1.1", told(*fields)))
    assert untrusted["x-forwarded-host"] == "gateway.test"
    assert untrusted["x-forwarded-proto"] == "http"


def test_a_host_that_is_none_is_not_handed_on() -> None:
    metadata = FORWARDING.metadata("1.1.1.1", {"Host": "a b"})
    assert [name for name, _ in metadata] == ["x-forwarded-for", "x-forwarded-proto"]


def test_nothing_is_sent_when_that_is_asked_for() -> None:
    assert Forwarding(ForwardedOptions(send=False)).metadata("1.1.1.1", told()) == ()
