"""The text forms of scalars and well-known types: one definition for JSON, queries and paths.

The rules are those of protobuf.dev, "ProtoJSON Format". Where they allow a choice, the strict one
applies, so that no digit or character of a request is lost silently.
"""

import math
import re
import struct
from binascii import a2b_base64
from datetime import datetime
from typing import Final

_INTEGER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,30})")
_NUMBER: Final = re.compile(r"(-?)(0|[1-9][0-9]*+)(?:\.([0-9]++))?(?:[eE]([+-]?[0-9]++))?")
_BASE64: Final = re.compile(r"(?:[A-Za-z0-9+/]*+|[A-Za-z0-9_-]*+)={0,2}")
_URL_SAFE: Final = str.maketrans("-_", "+/")
_TIMESTAMP: Final = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9])(?:\.([0-9]{1,9}))?"
    r"(?:Z|([+-])([01][0-9]|2[0-3]):([0-5][0-9]))"
)
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 # both ends of the difference are in UTC
_FIRST_S: Final = -62_135_596_800  # year 1 (google/protobuf/timestamp.proto)
_DAYS: Final = [0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
"""By month; February has 29 in leap years."""
_DAYS_TO_1970: Final = 719_469
"""The days from the last of February of year 0 on, counted from the first of March as one."""
_NO_DIGITS: Final = -1_000_000
_ZERO: Final = 0x30
_MINUS: Final = 0x2D
_T: Final = 0x54
_COLON: Final = 0x3A
_LAST_S: Final = 253_402_300_799  # the end of year 9999
_DURATION_MAX_S: Final = 315_576_000_000  # google/protobuf/duration.proto
_MOST_DIGITS: Final = 31  # more than every integer type has
_MOST_EXPONENT_DIGITS: Final = 9  # no text that a body can hold makes up for more
_FLOAT_MAX: Final = float(struct.unpack("<f", b"\xff\xff\x7f\x7f")[0])
_FLOAT_LIMIT: Final = 3.4028235677973366e38  # half a step further, where infinity begins
_SHOWN: Final = 40


def shown(text: str, limit: int = _SHOWN) -> str:
    """Quotes `text` for an error message: short, and without control characters."""
    cut = text if len(text) <= limit else f"{text[:limit]}..."
    if cut.isprintable():
        return f'"{cut}"'
    return '"' + "".join([c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in cut]) + '"'


def expected(what: str, text: str) -> ValueError:
    """Makes the error for text that is not `what`."""
    return ValueError(f"expected {what}, got {shown(text)}")


def parse_integer(text: str) -> int | None:
    """Parses a number as JSON spells it; None if it is not a whole one, or has over 31 digits.

    A text that is no number is None too; `is_number` tells them apart.
    """
    # Most integers are some digits: three calls to see that cost less than a pattern.
    if len(text) <= _MOST_DIGITS and text.isascii() and text.isdigit():
        if text[0] != "0" or len(text) == 1:
            return int(text)
    elif not _ends_in_digit(text):
        return None
    elif _INTEGER.fullmatch(text):
        return int(text)
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction, exponent = found.groups()
    return _exact_integer(sign, whole, fraction or "", exponent or "0")


def is_number(text: str) -> bool:
    """True if a text is a number as JSON spells it."""
    return _ends_in_digit(text) and _NUMBER.fullmatch(text) is not None


def _ends_in_digit(text: str) -> bool:
    """True for all numbers: to see that a text is none, this costs less than a pattern."""
    return text != "" and "0" <= text[-1] <= "9"


def _exact_integer(sign: str, whole: str, fraction: str, exponent: str) -> int | None:
    """Returns the integer that decimal digits spell exactly, however many they are."""
    digits = whole + fraction
    significant = digits.strip("0")
    if not significant:
        return 0
    power = exponent.lstrip("+-").lstrip("0")
    if len(power) > _MOST_EXPONENT_DIGITS:
        return None
    shift = int(power or "0")
    if exponent.startswith("-"):
        shift = -shift
    # The digits from the first that is not zero to the point; fewer would leave a fraction.
    before = len(whole) - (len(digits) - len(digits.lstrip("0"))) + shift
    if not len(significant) <= before <= _MOST_DIGITS:
        return None
    return int(sign + significant + "0" * (before - len(significant)))


def parse_number(text: str, *, single: bool) -> float | None:
    """Parses a double, or with `single` a float; None if it is out of range.

    NaN, Infinity and -Infinity are valid.

    Raises:
        ValueError: the text is not a number.
    """
    if not _NUMBER.fullmatch(text):
        if text in ("NaN", "Infinity", "-Infinity"):
            return float(text)
        raise ValueError("it is not a number")
    return in_range(float(text), single=single)


def in_range(value: float, *, single: bool) -> float | None:
    """Rounds a finite number to the nearest one that its type holds; None if that is infinity."""
    if not single:
        return None if math.isinf(value) else value
    size = abs(value)
    if size >= _FLOAT_LIMIT:
        return None
    return math.copysign(_FLOAT_MAX, value) if size > _FLOAT_MAX else value


def parse_base64(text: str) -> bytes | None:
    """Decodes base64 in either alphabet, padded in full or not at all; None if it is not that."""
    if not _BASE64.fullmatch(text):
        return None
    rest = len(text) % 4
    # Whole groups of four with at most two paddings are valid whatever they are.
    if rest and (rest == 1 or text[-1] == "="):
        return None
    if "-" in text or "_" in text:
        text = text.translate(_URL_SAFE)
    return a2b_base64(text + "=" * (4 - rest) if rest else text)


def parse_timestamp(text: str) -> tuple[int, int]:
    """Reads RFC 3339 from year 1 to 9999, any offset, up to nine decimals.

    Returns the seconds since 1970 in UTC, and the nanoseconds after them.

    Raises:
        ValueError: says what was expected.
    """
    if 20 <= len(text) <= 30 and text.isascii() and text[-1] == "Z":
        seconds = _plain_seconds(text.encode())
        decimals = text[20:-1]
        if seconds >= _FIRST_S and (
            len(text) == 20 or (text[19] == "." and _are_digits(decimals, 9))
        ):
            return seconds, _nanos(decimals)
        # The long way says what is wrong.
    found = _TIMESTAMP.fullmatch(text)
    if found is None:
        raise expected("a time such as 2024-01-31T12:00:00Z", text)
    moment, fraction, sign, hours, minutes = found.groups()
    try:
        seconds = _since_epoch(moment)
    except ValueError:
        raise _no_such_time(text) from None
    if sign is not None:
        offset = int(hours) * 3600 + int(minutes) * 60
        seconds += offset if sign == "-" else -offset
        if not _FIRST_S <= seconds <= _LAST_S:
            raise _no_such_time(text)
    return seconds, _nanos(fraction or "")


def _plain_seconds(text: bytes) -> int:
    """Returns the seconds since 1970 of a time whose first 19 characters are in UTC.

    A number before year 1 if there is no such time.
    """
    year = _two_digits(text, 0) * 100 + _two_digits(text, 2)
    month, day = _two_digits(text, 5), _two_digits(text, 8)
    hour, minute, second = _two_digits(text, 11), _two_digits(text, 14), _two_digits(text, 17)
    if not (
        text[4] == text[7] == _MINUS
        and text[10] == _T
        and text[13] == text[16] == _COLON
        and year > 0
        and 1 <= month <= 12
        and 1 <= day <= _DAYS[month]
        and (month != 2 or day <= 28 or _is_leap(year))
        and hour <= 23
        and minute <= 59
        and second <= 59
    ):
        return _FIRST_S - 1
    # Years begin in March here, so that the day added in a leap year is the last one of a year.
    if month <= 2:
        month += 12
        year -= 1
    days = 365 * year + year // 4 - year // 100 + year // 400 + (153 * month - 457) // 5 + day
    return ((days - _DAYS_TO_1970) * 24 + hour) * 3600 + minute * 60 + second


def _two_digits(text: bytes, at: int) -> int:
    """Returns the number of two digits; one that no part of a time has if they are others."""
    high, low = text[at] - _ZERO, text[at + 1] - _ZERO
    return high * 10 + low if 0 <= high <= 9 and 0 <= low <= 9 else _NO_DIGITS


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _since_epoch(moment: str) -> int:
    """Returns the seconds of a moment in UTC, in the form 2024-01-31T12:00:00.

    Raises:
        ValueError: there is no such time.
    """
    since = datetime.fromisoformat(moment) - _EPOCH
    days: int = since.days
    seconds: int = since.seconds
    return days * 86_400 + seconds


def _no_such_time(text: str) -> ValueError:
    return expected("a time that exists, in years 0001 to 9999", text)


def parse_duration(text: str) -> tuple[int, int]:
    """Reads seconds with up to nine decimals and the suffix `s`.

    Returns seconds and nanoseconds, of one sign.

    Raises:
        ValueError: says what was expected.
    """
    sign = -1 if text.startswith("-") else 1
    whole, point, decimals = text.removeprefix("-").removesuffix("s").partition(".")
    has_decimals = _are_digits(decimals, 9)
    if not (text.endswith("s") and _are_digits(whole, 12) and (has_decimals or not point)):
        raise expected("a duration in seconds such as 3.5s", text)
    seconds, nanos = int(whole), _nanos(decimals)
    # google/protobuf/duration.proto limits whole seconds; nanos are added to them.
    if seconds > _DURATION_MAX_S:
        raise ValueError(f"expected at most {_DURATION_MAX_S} seconds, got {shown(text)}")
    return sign * seconds, sign * nanos


def _are_digits(text: str, most: int) -> bool:
    return 0 < len(text) <= most and text.isascii() and text.isdigit()


def _nanos(decimals: str) -> int:
    return int(decimals.ljust(9, "0")) if decimals else 0
