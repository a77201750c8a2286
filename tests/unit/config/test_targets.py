"""Where a back end is, is refused at once when it cannot be meant, with the right form."""

import pytest
from pydantic import ValidationError

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
