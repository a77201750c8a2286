"""A text in a URL and the same text in JSON are the same value, or are both refused."""

import json

import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.status import StatusError
from gateway.transcoding.fields import field_encoder, resolve
from tests.support import rich

NUMBERS = [
    *("0", "-0", "1", "-1", "1.0", "1e0", "1E+2", "-0.0", "0e5", "10e-1", "1.5", "1e400", "1e-400"),
    *("2147483647", "2147483648", "-2147483648", "-2147483649", "4294967295", "4294967296"),
    *("9223372036854775807", "9223372036854775808", "-9223372036854775809", "9007199254740993"),
    *("18446744073709551615", "18446744073709551616", "9007199254740993.0", "00", "01", "+1", "-"),
    *("1.", ".5", "0x1", "1_0", " 1", "1 ", "\u0661", "9" * 31, "9" * 32, "5e-324", "7e-46"),
    *("3.4028235e38", "3.4028235677973366e38", "1.7976931348623158e308", "1.8e308"),
    *("NaN", "Infinity", "-Infinity", "-NaN", "nan", "inf", "+Infinity"),
]
OTHERS = [
    *("1s", "-1s", "-0.000000001s", "315576000000.999999999s", "315576000001s", "1.s", ".5s"),
    *("+1s", "1.1234567890s", "0000000000001s", "1S", "s"),
    *("0001-01-01T00:00:00Z", "0000-12-31T23:59:59Z", "9999-12-31T23:59:59.999999999Z"),
    *("0001-01-01T00:00:00+00:01", "2024-02-29T00:00:00-14:00", "2023-02-29T00:00:00Z"),
    *("2024-01-01T24:00:00Z", "2024-01-01T00:00:60Z", "2024-01-01t00:00:00z", "2024-01-01"),
    *("a", "a,bC.d1", "*", "a.*", "a.", ",", "a..b", "1a", "a.`b,c`", "\xe9"),
    *("", "A", "AA", "AA==", "AA=", "_-_-", "+_+_", "====", "AA\n", "/w", "true", "false", "True"),
    *("RED", "red", "NULL_VALUE", "5", "\U0001f600", "\x00"),
]
FIELDS = [
    *("i32", "i64", "u32", "u64", "s32", "s64", "f32", "f64", "sf32", "sf64", "ratio", "weight"),
    *("on", "title", "data", "color", "printed", "loan", "mask", "w_int", "w_wide", "w_string"),
    *("w_bytes", "w_bool", "w_double", "w_float", "w_unsigned"),
]
BARE = {"on", "w_bool"}
"""Booleans have no quotes in JSON."""


def exact(wire: bytes) -> bytes:
    """The message as google writes it: NaN equals NaN, minus zero is not zero."""
    message = GetMessageClass(rich.message("rich.Book")).FromString(wire)
    return bytes(message.SerializeToString(deterministic=True))


def in_url(field: str, text: str) -> bytes | None:
    try:
        return exact(field_encoder(resolve(rich.message("rich.Book"), field), field)(text))
    except StatusError:
        return None


def in_json(field: str, text: str) -> bytes | None:
    is_bare = field in BARE or (field == "color" and text.strip("0123456789-+.eE") == "")
    if text != text.strip() and is_bare:
        return None  # the space belongs to JSON, not to the value
    try:
        value = text if is_bare else json.dumps(text)
        return exact(rich.read(f'{{"{field}":{value}}}'))
    except StatusError:
        return None


@pytest.mark.parametrize("field", FIELDS)
def test_urls_and_json_have_the_same_rules(field: str) -> None:
    accepted = 0
    for text in (*NUMBERS, *OTHERS):
        if field == "mask" and "_" in text:
            continue  # in a URL, names of the .proto are right too
        found = in_url(field, text)
        assert found == in_json(field, text), text
        accepted += found is not None
    assert accepted
