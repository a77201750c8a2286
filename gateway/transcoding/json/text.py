"""JSON text (RFC 8259) to a tree and back, keeping what ProtoJSON has to judge.

An object is a tuple of its members, so repeated names are seen; a number with a fraction or an
exponent stays as it is spelled, so digits are not lost unseen.
"""

import json
import re
from itertools import accumulate
from typing import TypeAlias

from gateway.status import StatusError, invalid_argument


class Number(str):
    """A JSON number as spelled, where it is not a plain integer of reasonable size."""

    __slots__ = ()


Tree: TypeAlias = "bool | int | Number | str | list[Tree] | tuple[tuple[str, Tree], ...] | None"

_MAX_DIGITS = 400  # more than any double has; far below the limit of int()
_STRING = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_SIGNS = bytes.maketrans(b"[{]}", b"\x01\x01\xff\xff")
_OTHERS = bytes(set(range(256)) - set(b"[{]}"))
_ESCAPES = re.compile(
    r"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u(?P<lone>[dD][89a-fA-F])|.)"
)


def parse(body: bytes, *, depth: int) -> Tree:
    """The tree of one JSON text.

    Raises:
        StatusError: INVALID_ARGUMENT where the body is not UTF-8, not JSON, or nested too deep.
    """
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise invalid_argument("", f"the body is not UTF-8 text: byte {error.start}") from None
    if deeper_than(body, depth):
        raise invalid_argument("", f"the body is nested deeper than {depth} levels")
    try:
        tree: Tree = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _syntax_error(text, error.pos) from None
    if "\\ud" in text or "\\uD" in text:
        _refuse_lone_surrogates(text)
    return tree


def dump(tree: Tree) -> str:
    """The text of a tree."""
    if isinstance(tree, tuple):
        return "{" + ",".join(f"{json.dumps(name)}:{dump(item)}" for name, item in tree) + "}"
    if isinstance(tree, list):
        return "[" + ",".join(map(dump, tree)) + "]"
    return str(tree) if isinstance(tree, Number) else json.dumps(tree)


def deeper_than(body: bytes, depth: int) -> bool:
    """Whether objects and arrays are nested deeper than `depth`."""
    if body.count(b"{") + body.count(b"[") <= depth:
        return False
    steps = _STRING.sub(b"", body).translate(_SIGNS, _OTHERS)
    # As signed bytes an opening bracket is 1 and a closing one -1: their running sum is the depth.
    return max(accumulate(memoryview(steps).cast("b")), default=0) > depth


def _refuse_lone_surrogates(text: str) -> None:
    for escape in _ESCAPES.finditer(text):
        if escape["lone"]:
            raise _syntax_error(text, escape.start(), "half of a surrogate pair at ")


def _syntax_error(text: str, position: int, what: str = "") -> StatusError:
    line = text.count("\n", 0, position) + 1
    column = position - text.rfind("\n", 0, position)
    return invalid_argument("", f"the body is not valid JSON: {what}line {line} column {column}")


def _integer(digits: str) -> int | Number:
    # A double has a minus zero, an int has none.
    return int(digits) if len(digits) <= _MAX_DIGITS and digits != "-0" else Number(digits)


def _refuse_constant(name: str) -> None:
    # RFC 8259, section 6: there are no such numbers.
    raise invalid_argument("", f"the body is not valid JSON: {name} without quotes")


_DECODER = json.JSONDecoder(
    object_pairs_hook=tuple,
    parse_float=Number,
    parse_int=_integer,
    parse_constant=_refuse_constant,
)
