"""Bodies of JSON texts one after another."""

import pytest

from gateway.status import StatusError
from gateway.transcoding.streams.json_texts import JsonTexts


def split(body: bytes, piece: int, limit: int = 100) -> list[bytes]:
    texts = JsonTexts(limit)
    found: list[bytes] = []
    for start in range(0, len(body), piece):
        found += texts.feed(body[start : start + piece])
    return [*found, *texts.finish()]


@pytest.mark.parametrize("piece", [1, 2, 7, 100])
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", []),
        (b" \r\n", []),
        (b'{"a":1}', [b'{"a":1}']),
        (b'{"a":1}{"b":[2]}', [b'{"a":1}', b'{"b":[2]}']),
        (b' {"a":"}\\""} \n\n {"b":{}}\n', [b'{"a":"}\\""}', b'{"b":{}}']),
        (b'"a" "b"null 17', [b'"a"', b'"b"', b"null", b"17"]),
        (b'[{"a":1}, {"b":2}]', [b'{"a":1}', b'{"b":2}']),
    ],
)
def test_each_text_is_a_message(body: bytes, expected: list[bytes], piece: int) -> None:
    assert split(body, piece) == expected


@pytest.mark.parametrize("piece", [1, 3, 100])
@pytest.mark.parametrize(
    ("body", "says"),
    [
        (b'{"a":1},{"b":2}', "expected a JSON text, got ,"),
        (b'{"a":1}]', "expected a JSON text, got ]"),
        (b'{"a":1}{"b"', "the body ends within a JSON text"),
        (b'["a"', "without its end"),
        (b'["a"] {}', "expected nothing after the end of the array"),
        (b'{"a":"' + b"x" * 100 + b'"}', "larger than 100 bytes"),
        (b"{" + b"[" * 99 + b"[", "nested deeper than 100 levels"),
    ],
)
def test_what_is_no_text_is_refused(body: bytes, says: str, piece: int) -> None:
    with pytest.raises(StatusError, match=says.replace("]", r"\]")):
        split(body, piece, 100 if "larger" in says else 1000)


def test_a_text_is_handed_on_when_it_is_complete() -> None:
    texts = JsonTexts(100)
    assert list(texts.feed(b'{"a":1}')) == [b'{"a":1}']
    assert not texts.is_midway
    assert not list(texts.feed(b' {"b"'))
    assert texts.is_midway
