"""Which known name a mistyped one is taken for, and which names resemble none."""

import pytest

from gateway.config.similar import nearest

KNOWN = ("listen", "store", "default_s", "body_bytes", "warn", "i32", "upstreams", "tls")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("listn", "listen"),
        ("lissten", "listen"),
        ("Listen", "listen"),
        ("defaults", "default_s"),
        ("default", "default_s"),
        ("body_byte", "body_bytes"),
        ("wran", "warn"),
        ("i33", "i32"),
        ("upstrems", "upstreams"),
        ("tsl", "tls"),
    ],
)
def test_a_mistyped_name_finds_the_one_meant(name: str, meant: str) -> None:
    assert nearest(name, KNOWN) == meant


@pytest.mark.parametrize(
    "name",
    ["true", "2", "", "s", "port", "strong", "ls", "upstreams_of_the_house", "x" * 1_000_000],
)
def test_a_name_that_resembles_none_finds_none(name: str) -> None:
    assert nearest(name, KNOWN) == ""


def test_the_nearest_of_several_is_found() -> None:
    assert nearest("keep_alives", ("keep_alive_s", "keep_alive", "keep")) == "keep_alive_s"
    assert nearest("stores", ("stare", "store")) == "store"
