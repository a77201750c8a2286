"""Durations, times and names on the command line."""

import time

import pytest
import typer

from gateway.cli.messages import visible
from gateway.cli.store_commands import duration_s, lifetime_s
from gateway.cli.tables import expiry
from gateway.stores.base import instant


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("30s", 30), ("15m", 900), ("1h", 3600), ("90d", 7_776_000), ("1.5h", 5400)],
)
def test_a_duration_has_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert duration_s(text) == lifetime_s(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "1y", "-1s", "1 h", "1h30m", "1e9", "nan", "inf", "٣s"])
def test_what_is_no_duration_is_refused_with_what_would_be(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="such as 30s"):
        duration_s(text)


def test_a_life_is_longer_than_nothing() -> None:
    assert duration_s("0s") == 0
    with pytest.raises(typer.BadParameter, match="above 0"):
        lifetime_s("0s")


def test_a_time_is_in_utc() -> None:
    assert instant(1_700_000_000.9) == "2023-11-14T22:13:20Z"
    assert instant(None) is None


def test_an_end_says_whether_it_has_come() -> None:
    assert expiry(None) == "never"
    assert expiry(1_700_000_000.0) == "2023-11-14T22:13:20Z (expired)"
    assert not expiry(time.time() + 60).endswith("(expired)")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        pytest.param("Ann's Büro 李", "Ann's Büro 李", id="what is printed"),
        pytest.param("a\nb\tc", r"a\nb\tc", id="lines and tabs"),
        pytest.param("\x1b[31m", r"\x1b[31m", id="a terminal's escape"),
        pytest.param("a\u202eb", r"a\u202eb", id="text turned around"),
        pytest.param("a\ud800", r"a\ud800", id="half a character"),
    ],
)
def test_a_name_is_shown_and_not_obeyed(text: str, shown: str) -> None:
    assert visible(text) == shown
