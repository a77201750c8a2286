"""What looks at the bytes of clients takes time by their length, not by its square."""

import importlib
import pkgutil
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from gateway import auth, endpoints, exchange, http, interceptors, listeners, telemetry
from gateway.config.forwarded import ForwardedOptions
from gateway.http.client_certificate import parse_forwarded
from gateway.http.entity_tags import conditions_for_back_end
from gateway.http.forwarded import Forwarding
from gateway.http.header_fields import HeaderFields
from gateway.listeners.http1.request_head import is_host
from gateway.listeners.http1.unfinished_head import UnfinishedHead
from gateway.telemetry.masking import mask_credentials
from gateway.transcoding import media
from tests.support.growth import check_growth, cpu_s

ROOT = Path(__file__).parents[2]
ROOMS = (auth, endpoints, exchange, http, interceptors, listeners, telemetry)
SIZE, FACTOR = 2_000, 16
# A linear one takes FACTOR times as long, a quadratic one its square.
MOST_TIMES = FACTOR * 5
# Below this a machine under load measures nothing but itself.
FREE_S = 0.02
PIECES = (
    *('"', '\\"', "\\", ",", ";", " ", "\t", "a", "0", "=", "a=", "a,", 'a="', '"a', "eyJ", "gwt_"),
    *("eyJaaaaaaaa", "gwt_aaaaaaaaaaaaaaaa", ".", "a.", "/", ":", "-", "_", "%", "%2C", "(", "["),
    *("for=", 'for="', "CN=", "CN=a,", "CN=a+", '"a",', 'W/"a"', "\\2C", "\\2", "\r\n", "\udcff"),
    *(
        "\r\norigin:",
        "access_token=",
        "&",
        "http://",
        "Subject=",
        'URI="\\"";',
        "a b",
        " ,",
        "q=1;",
    ),
)
ENDINGS = ("", "\x00", '"', "!")


def sources() -> Iterator[str]:
    """The names of the modules whose patterns clients' bytes can reach."""
    for room in ROOMS:
        for found in pkgutil.walk_packages(room.__path__, f"{room.__name__}."):
            yield found.name
    yield from ("gateway.transcoding.media", "gateway.transcoding.metadata")


def patterns() -> Iterator[tuple[str, "re.Pattern[str] | re.Pattern[bytes]", bool]]:
    """Each pattern, and whether it is looked for all over a text instead of at one place."""
    for module in sources():
        text = Path(*module.split(".")).with_suffix(".py")
        source = (ROOT / text).read_text() if (ROOT / text).exists() else ""
        for name, value in vars(importlib.import_module(module)).items():
            if isinstance(value, re.Pattern):
                searched = re.search(rf"\b{name}\.(?:search|findall|finditer|sub|split)\b", source)
                yield f"{module}.{name}", value, searched is not None


def check_is_linear(use: Callable[[str], object], piece: str, ending: str) -> None:
    short, long = (piece * (size // len(piece)) + ending for size in (SIZE, SIZE * FACTOR))
    check_growth(use, short, long, times=MOST_TIMES, free_s=FREE_S)


PATTERNS = {name: (pattern, searched) for name, pattern, searched in patterns()}


def test_the_patterns_are_found() -> None:
    assert len(PATTERNS) > 15


@pytest.mark.parametrize("name", PATTERNS)
def test_each_pattern_is_linear(name: str) -> None:
    pattern, searched = PATTERNS[name]

    def use(text: str) -> None:
        found: str | bytes = text
        if isinstance(pattern.pattern, bytes):
            found = text.encode("utf-8", "surrogateescape")
        pattern.fullmatch(found)  # type: ignore[arg-type]
        pattern.match(found)  # type: ignore[arg-type]
        if searched:
            pattern.findall(found)  # type: ignore[arg-type]

    for piece in PIECES:
        for ending in ENDINGS:
            check_is_linear(use, piece, ending)


def _forwarding(text: str) -> object:
    forwarding = Forwarding(ForwardedOptions.model_validate({"trusted_proxies": ["10.0.0.0/8"]}))
    headers = {"Forwarded": text, "X-Forwarded-Host": text, "Host": "a"}
    return forwarding.metadata("10.0.0.1", headers), forwarding.client("10.0.0.1", headers)


def _unfinished(text: str, step: int) -> object:
    head, raw = UnfinishedHead(), text.encode("utf-8", "surrogateescape")
    for start in range(0, len(raw), step):
        head.add(raw[start : start + step])
    return head.fields()


def _conditions(text: str) -> object:
    raw = text.encode("utf-8", "surrogateescape")
    fields = HeaderFields({"If-None-Match": text}, ((b"If-None-Match", raw), (b"If-Match", raw)))
    return conditions_for_back_end(fields, "application/json", reads=True)


@pytest.mark.parametrize(
    "use",
    [
        parse_forwarded,
        mask_credentials,
        is_host,
        _forwarding,
        _conditions,
        media.weights,
        media.is_json.__wrapped__,
        media.preferred_anew,
        lambda text: parse_forwarded(f'Subject="{text}'),
        lambda text: parse_forwarded(f'Subject="{text}"'),
        lambda text: _unfinished(text, step=1 << 20),
        lambda text: _unfinished(text, step=7),
    ],
)
def test_each_reader_is_linear(use: Callable[[str], object]) -> None:
    for piece in PIECES:
        for ending in ENDINGS:
            check_is_linear(use, piece, ending)


def test_the_longest_header_is_read_at_once() -> None:
    assert cpu_s(lambda: parse_forwarded('\\"' * 8190)) < 0.5
    assert cpu_s(lambda: mask_credentials("eyJ" * 5000)) < 0.5
