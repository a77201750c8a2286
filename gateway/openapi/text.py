"""Writes a document as JSON or as YAML."""

import json
import re
from collections.abc import Iterator
from typing import Any, Final

_PLAIN = re.compile(r"[$A-Za-z/][A-Za-z0-9_./{}*+\-]*(?: [A-Za-z0-9_./(`][A-Za-z0-9_./()`,\-]*)*")
_NOT_STRINGS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"})
_BLOCK = re.compile(
    r"[^\s\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*"
)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


_encode = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def to_json(document: object) -> str:
    """Writes JSON with an indentation of two spaces, for people and for comparing by lines."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def compact_json(document: dict[str, object]) -> Iterator[bytes]:
    """Yields JSON without blanks, in pieces: one for each path and for each schema.

    It takes the document apart: its objects are empty at the end. The encoder, and the release of
    a whole document, would each keep other threads waiting for a large part of a second, among
    them that of the event loop; a piece takes microseconds, and they run between two.
    """
    yield from _members(document, _PIECES_DEPTH)
    yield b"\n"


_PIECES_DEPTH: Final = 3
"""A schema is the third object from the outside: `components`, `schemas`, its name."""


def _members(part: dict[str, object], depth: int) -> Iterator[bytes]:
    comma = "{"
    items = list(reversed(part.items()))
    part.clear()
    while items:
        key, value = items.pop()
        name = f"{comma}{_encode(key)}:"
        if depth > 1 and isinstance(value, dict) and value:
            yield name.encode()
            yield from _members(value, depth - 1)
        else:
            yield (name + _encode(value)).encode()
        comma = ","
    yield b"}" if comma == "," else b"{}"


def to_yaml(document: object) -> str:
    """Writes YAML 1.2 that a reader of YAML 1.1 understands too.

    A library's writer takes minutes for a large API.
    """
    return "".join(_lines(document, 0)).lstrip("\n") + "\n"


def _lines(value: Any, depth: int) -> Iterator[str]:
    """Yields a value that stands after `key:` or `-`, with the blank or line feed before it."""
    indent = "  " * depth
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield f"\n{indent}{_scalar(key)}:"
            yield from _lines(inner, depth + 1)
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            # The first line of an item stands beside its hyphen, as wide as an indentation.
            item = "".join(_lines(inner, depth + 1))
            yield f"\n{indent}- {item.lstrip()}"
    elif isinstance(value, str) and "\n" in value and _BLOCK.fullmatch(value):
        yield from _block(value, indent)
    else:
        yield f" {_scalar(value)}"


def _block(text: str, indent: str) -> Iterator[str]:
    body = text.rstrip("\n")
    ending = len(text) - len(body)
    yield " |" + ("-" if ending == 0 else "" if ending == 1 else "+")
    for line in text.removesuffix("\n").split("\n"):
        yield f"\n{indent}{line}" if line else "\n"


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_STRINGS:
        return value
    # JSON is YAML, except for the characters that YAML cannot print.
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
