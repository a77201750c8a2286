"""Parses JSON text (RFC 8259) to a tree that keeps what ProtoJSON needs.

An object is a tuple of its members, so that repeated names stay visible; a number with a fraction
or an exponent keeps its spelling, so that no digits are lost.
"""

import json
import re
import sys
import time
from codecs import utf_8_decode
from collections.abc import Callable
from itertools import accumulate
from typing import Final, cast

from gateway.status import StatusError, invalid_argument
from gateway.transcoding.json.reading.number import Number

__all__ = ["StatusError"]
__all__ += ["Scan", "check_depth", "check_utf8", "deeper_than", "exact_scanner", "lone_surrogate"]
__all__ += ["parse", "scanner_of", "syntax_error", "utf8_fault"]

Scan = Callable[[str, int], tuple[object, int]]
"""Parses the JSON value at an index of a text; returns it, and the index of its end."""

_MAX_DIGITS: Final = 400  # more than any double has; far below the limit of int()
_SQUARE: Final = bytes.maketrans(b"{}", b"[]")
_SIGNS: Final = bytes.maketrans(b"[]", b"\x01\xff")
_OTHERS: Final = bytes(set(range(256)) - set(b'[{]}"'))
_PIECE: Final = 4096
_CHECKED_BYTES: Final = 64 * 1024
_SAMPLE: Final = 8192
_NUMBER_GOES_ON: Final = frozenset(".0123456789eE")
_SAFE_LEVELS: Final = 512
"""So many levels are no danger to the parser, which recurses."""
_SPACE: Final = re.compile(r"[ \t\n\r]*+")
_ESCAPES: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?P<lone>[dD][89a-fA-F])|.)"
)


def parse(body: bytes, *, depth: int) -> object:
    """Parses one JSON text to its tree.

    It consists of None, bool, int, Number, str, a list for an array, and for an object a tuple of
    its members, each a tuple of name and value.

    Raises:
        StatusError: INVALID_ARGUMENT if the body is not UTF-8, not JSON, or nested too deep.
    """
    brackets = body.count(b"{") + body.count(b"[")
    if brackets <= depth:
        return _parsed(body)
    if brackets > _SAFE_LEVELS:
        check_depth(body, depth)  # first, because the parser recurses
        return _parsed(body)
    try:
        tree = _parsed(body)
    except (StatusError, RecursionError):
        check_depth(body, depth)
        raise
    if _is_deeper(tree, depth):
        check_depth(body, depth)
    return tree


def _is_deeper(tree: object, depth: int) -> bool:
    """True if objects and arrays are nested deeper than `depth`; faster than `deeper_than`."""
    level = [tree]
    for _ in range(depth):
        below: list[object] = []
        for node in level:
            if type(node) is tuple:
                members = cast("tuple[tuple[str, object], ...]", node)
                below += [item for _, item in members if _is_nested(item)]
            elif type(node) is list:
                below += [item for item in node if _is_nested(item)]
        if not below:
            return False
        level = below
    return True


def _is_nested(tree: object) -> bool:
    return isinstance(tree, tuple) or isinstance(tree, list)  # noqa: SIM101 # faster


def _parsed(body: bytes) -> object:
    """Parses a text of a few levels."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid_argument("", f"the body is not UTF-8 text: byte {error.start}") from None
    start = 0
    if text[:1].isspace():
        start = _end_of_space(text, 0)
    try:
        tree, end = _scanned(scanner_of(text), text, start)
    except ValueError:  # an integer has more digits than `int` takes
        tree, end = _scanned(_SCAN_EXACTLY, text, start)
    if end != len(text):
        end = _end_of_space(text, end)
        if end != len(text):
            raise _syntax_error(text, end)
    lone = lone_surrogate(body)
    if lone >= 0:
        raise _syntax_error(text, len(body[:lone].decode()), "half of a surrogate pair at ")
    return tree


def _scanned(scan: Scan, text: str, start: int) -> tuple[object, int]:
    try:
        return scan(text, start)
    except StopIteration as error:
        raise _syntax_error(text, error.value) from None
    except json.JSONDecodeError as error:
        raise _syntax_error(text, error.pos) from None


def _end_of_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return at if found is None else found.end()


def check_utf8(body: bytes) -> None:
    """Rejects a body that is not UTF-8.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    fault = utf8_fault(body)
    if fault >= 0:
        raise invalid_argument("", f"the body is not UTF-8 text: byte {fault}")


def utf8_fault(text: bytes) -> int:
    """Returns the offset of the first byte that is not UTF-8; -1 if there is none.

    It decodes pieces, to limit memory.
    """
    if text.isascii():
        return -1
    at = 0
    while at < len(text):
        piece = text[at : at + _CHECKED_BYTES]
        try:
            at += utf_8_decode(piece, "strict", at + len(piece) == len(text))[1]
        except UnicodeDecodeError as error:
            return at + error.start
    return -1


def check_depth(body: bytes, depth: int) -> None:
    """Rejects a text that is nested deeper than `depth`, before a parser recurses over it.

    Raises:
        StatusError: INVALID_ARGUMENT.
    """
    # Most bodies have fewer brackets than the limit and need no other check. Where the first part
    # has more than that, the rest is not counted.
    first = body.count(b"{", 0, _SAMPLE) + body.count(b"[", 0, _SAMPLE)
    if first <= depth and first + body.count(b"{", _SAMPLE) + body.count(b"[", _SAMPLE) <= depth:
        return
    if deeper_than(body, depth):
        raise invalid_argument("", f"the body is nested deeper than {depth} levels")


def deeper_than(body: bytes, depth: int) -> bool:
    """True if objects and arrays are nested deeper than `depth`.

    In text that is not JSON, the part before the first error is measured correctly; no parser
    reads more. Time and memory are linear in the body, whatever it contains.
    """
    if b"\\" in body:
        # Remove escapes: `replace` reads a run of backslashes in pairs from its start, as JSON
        # does.
        body = body.replace(b"\\\\", b"").replace(b'\\"', b"")
    signs = body.translate(_SQUARE, _OTHERS)
    # Remove adjacent quotes: they do not change which other characters are inside a string.
    signs = signs.replace(b'""', b"")
    brackets = _outside_strings(signs) if b'"' in signs else signs
    # Each round removes the innermost pairs; an ordinary body is nearly empty after a few rounds.
    rest, rounds = brackets, 0
    while (left := rest.count(b"[")) + rounds > depth:
        if not left:
            return True
        inner = rest.replace(b"[]", b"")
        rounds += 1
        if len(inner) > len(rest) * 15 // 16:
            del rest, inner
            steps = memoryview(brackets.translate(_SIGNS)).cast("b")
            return any(map(depth.__lt__, accumulate(steps)))
        rest = inner
    return False


def _outside_strings(signs: bytes) -> bytes:
    """Returns the brackets outside strings, of a text of only brackets and quotes."""
    found = bytearray()
    within = 0
    for start in range(0, len(signs), _PIECE):  # in pieces, to limit memory
        parts = signs[start : start + _PIECE].split(b'"')
        found += b"".join(parts[within::2])
        within ^= len(parts) - 1 & 1
    return bytes(found)


def lone_surrogate(body: bytes) -> int:
    """Returns the offset of an escape that is half of a surrogate pair; -1 if there is none."""
    # One character is found many times faster than three.
    if b"\\" in body and _has_surrogate(body):
        for number, escape in enumerate(_ESCAPES.finditer(body)):
            if escape["lone"]:
                return escape.start()
            if number % _PIECE == 0:
                time.sleep(0)  # machine code keeps the interpreter lock: other threads wait
    return -1


def _has_surrogate(body: bytes) -> bool:
    """True if a body may have an escape of a surrogate; searches in pieces, so that others run."""
    for start in range(0, len(body), _CHECKED_BYTES):
        stop = start + _CHECKED_BYTES + 2  # an escape may begin at the end of the piece
        if body.find(b"\\u", start, stop) >= 0 and (
            body.find(b"\\ud", start, stop) >= 0 or body.find(b"\\uD", start, stop) >= 0
        ):
            return True
        if stop < len(body):
            time.sleep(0)
    return False


def _syntax_error(text: str, position: int, what: str = "") -> StatusError:
    column = position - text.rfind("\n", 0, position)
    return syntax_error(text.count("\n", 0, position) + 1, column, what)


def syntax_error(line: int, column: int, what: str = "") -> StatusError:
    """Makes the error of a body that is not JSON, for `what` at this place."""
    return invalid_argument("", f"the body is not valid JSON: {what}line {line} column {column}")


def _integer(digits: str) -> int | Number:
    # Keep "-0" as spelled: a double has a minus zero, an int does not.
    return int(digits) if len(digits) <= _MAX_DIGITS and digits != "-0" else Number(digits)


def _refuse_constant(name: str) -> None:
    # RFC 8259, section 6: NaN and Infinity are not JSON numbers.
    raise invalid_argument("", f"the body is not valid JSON: {name} without quotes")


def _scanner(parse_int: Callable[[str], object]) -> Scan:
    decoder = json.JSONDecoder(
        object_pairs_hook=tuple,
        parse_float=Number,
        parse_int=parse_int,
        parse_constant=_refuse_constant,
    )
    # The function that its method `raw_decode` calls; that one only words the error.
    scan: Scan = decoder.scan_once  # type: ignore[attr-defined]
    return scan


_SCAN_EXACTLY: Final = _scanner(_integer)
# `int` refuses more digits than this, unless it is told to take all, in quadratic time.
_SCAN: Final = _scanner(int) if 0 < sys.get_int_max_str_digits() <= 4300 else _SCAN_EXACTLY


def scanner_of(text: str) -> Scan:
    """Returns the parser of values in a text. It raises ValueError for integers of many digits."""
    # Most texts have no minus zero, which `int` would lose.
    at = text.find("-0")
    while at >= 0:
        at += 2
        if at == len(text) or text[at] not in _NUMBER_GOES_ON:
            return _SCAN_EXACTLY
        at = text.find("-0", at)
    return _SCAN


def exact_scanner() -> Scan:
    """Returns the parser that takes integers of any number of digits, and is slower."""
    return _SCAN_EXACTLY
