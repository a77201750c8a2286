"""Writes a document as JSON or as YAML."""

import json
import re
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import islice
from typing import Any, Final

_PLAIN = re.compile(r"[$A-Za-z/][A-Za-z0-9_./{}*+\-]*(?: [A-Za-z0-9_./(`][A-Za-z0-9_./()`,\-]*)*")
_NOT_STRINGS = frozenset({"true", "false", "yes", "no", "on", "off", "null", "y", "n", "nan"})
_BLOCK = re.compile(
    r"[^\s\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff][^\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]*"
)
_UNPRINTABLE = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")


# A document has no cycles; to look for them takes a quarter of the time.
_encode = json.JSONEncoder(ensure_ascii=False, check_circular=False, separators=(",", ":")).encode


def to_json(document: object) -> str:
    """Writes JSON with an indentation of two spaces, for people and for comparing by lines."""
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def compact_json(document: dict[str, object]) -> Iterator[bytes]:
    """Yields JSON without blanks, in pieces: one for each path, and for a few schemas.

    It takes the document apart: its objects are empty at the end. The encoder, and the release of
    a whole document, would each keep other threads waiting for a large part of a second, among
    them that of the event loop; a piece takes less than a millisecond, and they run between two.
    """
    yield from _members(document, _PIECES_DEPTH)
    yield b"\n"


_PIECES_DEPTH: Final = 3
"""A schema is the third object from the outside: `components`, `schemas`, its name."""
_AT_ONCE: Final = 16
"""The number of schemas in a piece: each call of the encoder has a cost of its own."""


def _members(part: dict[str, object], depth: int) -> Iterator[bytes]:
    comma = "{"
    members = _taken_from(part)
    if depth == 1:
        while batch := dict(islice(members, _AT_ONCE)):
            yield (comma + _encode(batch)[1:-1]).encode()
            comma = ","
    for key, value in members:
        name = f"{comma}{_encode(key)}:"
        if isinstance(value, dict) and value:
            yield name.encode()
            yield from _members(value, depth - 1)
        else:
            yield (name + _encode(value)).encode()
        comma = ","
    yield b"}" if comma == "," else b"{}"


def _taken_from(part: dict[str, object]) -> Iterator[tuple[str, object]]:
    """Yields the members of an object, which is empty from then on."""
    items = list(reversed(part.items()))
    part.clear()
    while items:
        yield items.pop()


def to_yaml(document: object) -> str:
    """Writes YAML 1.2 that a reader of YAML 1.1 understands too.

    A library's writer takes minutes for a large API.
    """
    lines: list[str] = []
    _write(document, "\n", lines.append)
    return "".join(lines).lstrip("\n") + "\n"


def yaml_pieces(document: dict[str, object]) -> Iterator[bytes]:
    """Yields the bytes of `to_yaml` in pieces, and takes the document apart as `compact_json`."""
    if document:
        pieces = _yaml_members(document, "\n", _PIECES_DEPTH)
        yield next(pieces).removeprefix(b"\n")
        yield from pieces
        yield b"\n"
    else:
        yield to_yaml(document).encode()


def _yaml_members(part: dict[str, object], line: str, depth: int) -> Iterator[bytes]:
    for key, value in _taken_from(part):
        name = f"{line}{_key(key)}:"
        if depth > 1 and isinstance(value, dict) and value:
            yield name.encode()
            yield from _yaml_members(value, f"{line}  ", depth - 1)
        else:
            lines = [name]
            _write(value, f"{line}  ", lines.append)
            yield "".join(lines).encode()


def _write(value: Any, line: str, add: Callable[[str], None]) -> None:
    """Writes a value that stands after `key:` or `-`; `line` is a line feed and the indentation."""
    if isinstance(value, dict) and value:
        inner_line = f"{line}  "
        for key, inner in value.items():
            add(f"{line}{_key(key)}:")
            _write(inner, inner_line, add)
    elif isinstance(value, list | tuple) and value:
        for inner in value:
            # The first line of an item stands beside its hyphen, as wide as an indentation.
            item: list[str] = []
            _write(inner, f"{line}  ", item.append)
            add(f"{line}- {''.join(item).lstrip()}")
    elif isinstance(value, str) and "\n" in value and _BLOCK.fullmatch(value):
        _write_block(value, line, add)
    else:
        add(f" {_scalar(value)}")


def _write_block(text: str, line: str, add: Callable[[str], None]) -> None:
    body = text.rstrip("\n")
    ending = len(text) - len(body)
    add(" |" + ("-" if ending == 0 else "" if ending == 1 else "+"))
    for one in text.removesuffix("\n").split("\n"):
        add(f"{line}{one}" if one else "\n")


def _scalar(value: object) -> str:
    if isinstance(value, str) and _PLAIN.fullmatch(value) and value.lower() not in _NOT_STRINGS:
        return value
    # JSON is YAML, except for the characters that YAML cannot print.
    text = json.dumps(value, ensure_ascii=False)
    return _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


# Few names are most of the keys of a document.
_key = lru_cache(maxsize=4096)(_scalar)
