"""The paths of a google.protobuf.FieldMask: their spelling in JSON and URLs, and on the wire.

A path is a field's name, followed by steps: names, a map's key, or `*` (AIP-161). On the wire,
names are spelled as in the .proto, in JSON in lowerCamelCase. A step in backticks or double quotes
is a map's key; it is the same on both sides, whatever it contains.

The library that writes JSON accepts neither `*` after a name nor such keys. `hide_in_wire` turns
such a path into a form that the library takes for a plain name, `reveal_in_text` turns it back.
"""

import json
import re
import secrets
from collections.abc import Callable
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from gateway.transcoding.wire import MAX_DEPTH

MAX_PATHS = 10_000
"""The limit of paths in one mask where they are processed one by one."""

MAX_CHARACTERS = 64 * 1024
"""The length limit of a mask in JSON: reading a longer one would make other requests wait."""

Find = Callable[[str], Descriptor | None]
"""Finds a message type by its full name; None if it is unknown."""

# Possessive throughout: no character is read twice, whatever a client sends.
_QUOTED = r'`(?:[^`]++|``)*+`|"(?:[^"\\]++|\\.)*+"'
_NEXT = rf"(?:[A-Za-z0-9_]++|\*|{_QUOTED})"
_PATH = re.compile(rf"\*|[A-Za-z_][A-Za-z0-9_]*+(?:\.{_NEXT})*+", re.DOTALL)
_STEP = re.compile(rf"({_QUOTED})|[^`\"]++", re.DOTALL)

# Random, so that no back end can write a path that is mistaken for a hidden one.
_MARK = f"m{secrets.token_hex(8)}x"
_HIDDEN = re.compile(rf"{_MARK}([0-9a-f]*)")


def read_mask(text: str, *, camel_case: bool = False) -> list[str]:
    """Parses the paths of a mask to their wire form; `camel_case` allows no underscores in names.

    Raises:
        ValueError: the text is not a mask, or has too many paths.
    """
    paths: list[str] = []
    at = 0
    while text:
        found = _PATH.match(text, at)
        if found is None or (camel_case and "_" in _STEP.sub(_names_only, found[0])):
            raise ValueError("it is not a field mask")
        paths.append(_STEP.sub(_snake_case, found[0]))
        at = found.end()
        if at == len(text):
            break
        if text[at] != ",":
            raise ValueError("it is not a field mask")
        if len(paths) == MAX_PATHS:
            raise ValueError(f"it has more than {MAX_PATHS} paths")
        at += 1
    return paths


def spell_path(path: str) -> str | None:
    """Spells a wire path for JSON, or returns None if it would be read back as another path.

    Names with uppercase letters, or with an underscore not followed by a letter, have no spelling.
    """
    if not _PATH.fullmatch(path):
        return None
    spelled = _STEP.sub(_camel_case, path)
    try:
        return spelled if read_mask(spelled, camel_case=True) == [path] else None
    except ValueError:
        return None


def hide_in_wire(message: Descriptor, wire: bytes, find: Find) -> bytes:
    """Hides each path in a message that JSON can spell; `reveal_in_text` restores it."""

    def hide(path: str) -> str:
        spelled = spell_path(path)
        return path if spelled is None else _hidden(spelled)

    return _each_path(message, wire, find, hide)


def reveal_in_text(text: str) -> str:
    """Replaces each hidden path in the JSON of a message by the original."""
    return _HIDDEN.sub(lambda found: _in_json(bytes.fromhex(found[1]).decode()), text)


def _hidden(path: str) -> str:
    return _MARK + path.encode().hex()


def _in_json(path: str) -> str:
    """Escapes a path for a JSON string."""
    return json.dumps(path, ensure_ascii=False)[1:-1]


def _names_only(step: re.Match[str]) -> str:
    return "" if step[1] else step[0]


def _snake_case(step: re.Match[str]) -> str:
    if step[1]:
        return step[0]
    return re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", step[0])


def _camel_case(step: re.Match[str]) -> str:
    if step[1]:
        return step[0]
    return re.sub("_([a-z])", lambda found: found[1].upper(), step[0])


def _each_path(message: Descriptor, wire: bytes, find: Find, change: Callable[[str], str]) -> bytes:
    """Changes all paths of all masks in a message, including those inside an Any.

    Slow and simple, on google's message classes: only for masks that the JSON library cannot
    handle.

    Raises:
        DecodeError: the bytes are not such a message.
        ValueError: it is nested too deep, or a mask has too many paths.
    """
    decoded = GetMessageClass(message).FromString(wire)
    _change(decoded, find, change, MAX_DEPTH)
    return decoded.SerializePartialToString()


def _change(message: Any, find: Find, change: Callable[[str], str], depth: int) -> None:
    if not depth:
        raise ValueError("nested too deep")
    name = message.DESCRIPTOR.full_name
    if name == "google.protobuf.FieldMask":
        _change_paths(message, change)
        return
    if name == "google.protobuf.Any":
        held = find(message.type_url.rpartition("/")[2])
        if held is not None:
            inner = _decoded(held, message.value)
            if inner is not None:
                _change(inner, find, change, depth - 1)
                message.value = inner.SerializePartialToString()
        return
    for field, value in message.ListFields():
        if field.message_type is None:
            continue
        if field.message_type.GetOptions().map_entry:
            if field.message_type.fields_by_name["value"].message_type is not None:
                for item in value.values():
                    _change(item, find, change, depth - 1)
        else:
            for item in value if field.is_repeated else (value,):
                _change(item, find, change, depth - 1)


def _change_paths(mask: Any, change: Callable[[str], str]) -> None:
    if len(mask.paths) > MAX_PATHS:
        raise ValueError("too many paths")
    mask.paths[:] = [change(path) for path in mask.paths]


def _decoded(kind: Descriptor, wire: bytes) -> Message | None:
    try:
        return GetMessageClass(kind).FromString(wire)
    except DecodeError:
        return None
