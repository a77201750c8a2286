"""Where a back end is, is refused at once when it cannot be meant, with the right form."""

import pytest
from pydantic import ValidationError

from gateway.config.targets import DnsTarget, dns_target
from gateway.config.upstreams import ChannelKind, Upstream


@pytest.mark.parametrize(
    "target",
    ["a:1", "a", "[::1]:5", "unix:/x", "unix:///x", "dns:///a:1", "a_b.c-d:65535"],
)
def test_an_address_is_taken(target: str) -> None:
    assert Upstream(target=target).target == target


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("http://a:1", "expected host:port without http://: a:1"),
        ("https://u:p@a:1/x", "without https://: a:1, and tls: {} next to it"),
        ("grpc://a", "without grpc://: a"),
        ("a:1,b:1", "expected one address, such as localhost:50051"),
        ("", "expected host:port"),
        (" a:1", "expected host:port"),
        ("a:0", "expected host:port"),
        ("a:65536", "expected host:port"),
        ("a:" + "9" * 5000, "expected host:port"),
        ("a:b", "expected host:port"),
        ("::1", "expected host:port"),
        ("a/b:1", "expected host:port"),
        ("a b:1", "expected host:port"),
        ("unix:", "the path of a socket"),
        ("dns://ns.test/a:1", "expected the IP address of a DNS server"),
        ("dns://10.0.0.2:0/a:1", "expected the IP address of a DNS server"),
        ("dns://10.0.0.2:/a:1", "expected the IP address of a DNS server"),
        ("dns://[::1]5/a:1", "expected the IP address of a DNS server"),
        ("dns://10.0.0.2/a", "expected a name and a port after the server"),
        ("dns://10.0.0.2/10.0.0.3:1", "expected a name and a port after the server"),
        ("dns://10.0.0.2/a..b:1", "expected a name and a port after the server"),
        ("dns://10.0.0.2/" + "a" * 64 + ":1", "expected a name and a port after the server"),
        ("srv:///library.test", "such as srv:///_grpc._tcp.library.internal"),
        ("srv:///_grpc._tcp.library.test:5", "such as srv:///_grpc._tcp.library.internal"),
        ("srv:_grpc._tcp.library.test", "expected host:port"),
        ("k8s:///default/library:1", "expected the DNS name of a headless Service"),
        ("kubernetes:///library:1", "such as library.default.svc.cluster.local:50051"),
        ("xds:///a", "xds:/ is for channel: grpcio"),
        ("ipv4:1.2.3.4:5", "ipv4: is for channel: grpcio"),
    ],
)
def test_what_is_none_is_refused_with_the_right_form(target: str, says: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Upstream(target=target)
    assert says in str(raised.value)


@pytest.mark.parametrize("target", ["xds:///a", "ipv4:1.2.3.4:5,1.2.3.5:5", "dns://8.8.8.8/a"])
def test_the_c_core_takes_its_own_names(target: str) -> None:
    assert Upstream(target=target, channel=ChannelKind.GRPCIO).target == target


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("dns://10.0.0.2/a.test:5", DnsTarget("10.0.0.2", 53, "a.test", "a.test:5", False)),
        ("dns://10.0.0.2:54/a.test.:5", DnsTarget("10.0.0.2", 54, "a.test.", "a.test.:5", False)),
        ("dns://[::1]:54/a:5", DnsTarget("::1", 54, "a", "a:5", False)),
        ("dns://::1/a:5", DnsTarget("::1", 53, "a", "a:5", False)),
        ("srv:///_grpc._tcp.a.test", DnsTarget("", 53, "_grpc._tcp.a.test", "a.test", True)),
        ("srv://[::1]/_x._tcp.a.", DnsTarget("::1", 53, "_x._tcp.a.", "a", True)),
        ("dns:///a:5", None),
        ("a:5", None),
    ],
)
def test_names_that_dns_servers_are_asked_for(target: str, expected: DnsTarget | None) -> None:
    Upstream(target=target)
    assert dns_target(target) == expected


def test_where_they_cannot_be_is_said() -> None:
    with pytest.raises(ValidationError, match=r"targets\[0\]\.address: expected host:port"):
        Upstream.model_validate({"targets": [{"address": "dns://10.0.0.2/a.test:5"}]})
    with pytest.raises(ValidationError, match="grpcio reads no SRV records"):
        Upstream(target="srv:///_grpc._tcp.a.test", channel=ChannelKind.GRPCIO)


def test_a_service_config_needs_a_name() -> None:
    for settings in ({"target": "unix:/x"}, {"targets": [{"address": "a:5"}]}):
        with pytest.raises(ValidationError, match=r"dns\.service_config: expected a target"):
            Upstream.model_validate(settings | {"dns": {"service_config": True}})


def test_a_full_scan_is_a_kind_of_least_request() -> None:
    settings = {"target": "localhost:1", "full_scan": True}
    with pytest.raises(ValidationError, match="full_scan: has no effect without balance: least_re"):
        Upstream.model_validate(settings)
    assert Upstream.model_validate(settings | {"balance": "least_request"}).full_scan
