"""Secrets of our own making."""

import re

import pytest

from gateway.auth.secrets import ACCESS, API_KEY, REFRESH, digest, is_secret, new_secret


@pytest.mark.parametrize("prefix", [ACCESS, REFRESH, API_KEY])
def test_a_secret_has_the_look_that_scanners_are_told_of(prefix: str) -> None:
    secret = new_secret(prefix)
    assert re.fullmatch(rf"{prefix}_[0-9A-Za-z]{{49}}", secret)
    assert is_secret(secret, prefix)


def test_no_two_secrets_are_alike() -> None:
    assert len({new_secret(ACCESS) for _ in range(1000)}) == 1000


def test_all_of_its_256_bits_are_random() -> None:
    # The 43 digits hold more than 256 bits, so only the first one is not evenly spread.
    seen: list[set[str]] = [set() for _ in range(43)]
    for _ in range(2000):
        for place, digit in enumerate(new_secret(ACCESS)[4:47]):
            seen[place].add(digit)
    assert all(len(digits) == 62 for digits in seen[1:])


@pytest.mark.parametrize("place", range(4, 53))
def test_one_wrong_character_anywhere_is_noticed_without_a_store(place: int) -> None:
    secret = new_secret(ACCESS)
    other = "A" if secret[place] != "A" else "B"
    assert not is_secret(secret[:place] + other + secret[place + 1 :], ACCESS)


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda s: "", id="empty"),
        pytest.param(lambda s: s[:-1], id="cut short"),
        pytest.param(lambda s: s + "0", id="longer"),
        pytest.param(lambda s: s + "\n", id="with a line end"),
        pytest.param(lambda s: " " + s, id="with a space"),
        pytest.param(lambda s: s.lower(), id="in other letters"),
        pytest.param(lambda s: s.replace("gwt_", "gwr_"), id="as another kind"),
        pytest.param(lambda s: s.replace("gwt_", ""), id="without its prefix"),
        pytest.param(lambda s: s[:10] + "٣" + s[11:], id="with a digit that is not ASCII"),
    ],
)
def test_what_only_resembles_a_secret_is_none(spoil: object) -> None:
    assert callable(spoil)
    assert not is_secret(spoil(new_secret(ACCESS)), ACCESS)


def test_a_digest_is_all_that_a_store_sees() -> None:
    secret = new_secret(ACCESS)
    assert len(digest(secret)) == 32
    assert secret.encode() not in digest(secret)
    assert digest(secret) == digest(secret) != digest(new_secret(ACCESS))
