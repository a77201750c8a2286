"""Which settings of CORS make sense."""

import pytest
from pydantic import ValidationError

from gateway.config.cors import CorsOptions


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com",
        "https://app.example.com:8443",
        "https://*.example.com",
        "http://localhost:*",
        "http://[::1]:3000",
        "app://bundle",
        "regex:https://pr-[0-9]+\\.example\\.com",
        "null",
        "*",
    ],
)
def test_an_origin_is_as_browsers_send_it(origin: str) -> None:
    assert CorsOptions(origins=(origin,)).origins == (origin,)


@pytest.mark.parametrize(
    "origin",
    [
        pytest.param("app.example.com", id="no scheme"),
        pytest.param("https://app.example.com/", id="a path"),
        pytest.param("https://App.example.com", id="capitals"),
        pytest.param("https://app.example.com:443", id="the port that nobody sends"),
        pytest.param("https://app.*.com", id="a star in the middle"),
        pytest.param("https://*", id="a star alone"),
        pytest.param("regex:(", id="half an expression"),
        pytest.param("", id="nothing"),
    ],
)
def test_an_origin_that_no_browser_sends_is_refused(origin: str) -> None:
    with pytest.raises(ValidationError):
        CorsOptions(origins=(origin,))


@pytest.mark.parametrize("origin", ["*", "null"])
def test_not_everybody_speaks_for_the_visitors_of_a_page(origin: str) -> None:
    with pytest.raises(ValidationError, match="would let every page act as its visitors"):
        CorsOptions(origins=(origin,), credentials=True)
