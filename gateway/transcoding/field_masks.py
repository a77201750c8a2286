"""The paths of a google.protobuf.FieldMask: their spelling in JSON and URLs, and on the wire.

A path is a field's name, followed by steps: names, a map's key, or `*` (AIP-161). On the wire,
names are spelled as in the .proto, in JSON in lowerCamelCase. A step in backticks or double quotes
is a map's key; it is the same on both sides, whatever it contains.
"""

import re
from collections.abc import Callable
from string import ascii_uppercase

from google.protobuf.descriptor import Descriptor

from gateway.transcoding.repeats import repeated

MAX_PATHS = 10_000
"""The limit of paths in one mask where they are processed one by one."""

MAX_CHARACTERS = 64 * 1024
"""The length limit of a mask in JSON: reading a longer one would make other requests wait."""

Find = Callable[[str], Descriptor | None]
"""Finds a message type by its full name; None if it is unknown."""

# Possessive throughout: no character is read twice, whatever a client sends.
_QUOTED = r'`(?:[^`]++|``)*+`|"(?:[^"\\]++|\\.)*+"'
_NEXT = rf"(?:[A-Za-z0-9_]++|\*|{_QUOTED})"
_PATH = re.compile(r"\*|[A-Za-z_][A-Za-z0-9_]*+" + repeated(rf"\.{_NEXT}"), re.DOTALL)
# A mask in JSON that needs no care: names without underscores, no map keys and no stars.
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9]*+" + repeated(r"(?:\.|,(?=[A-Za-z]))[A-Za-z0-9]++"))
_SNAKE = {ord(letter): f"_{letter.lower()}" for letter in ascii_uppercase}
_STEP = re.compile(rf"({_QUOTED})|[^`\"]++", re.DOTALL)


def read_mask(text: str, *, camel_case: bool = False) -> list[str]:
    """Parses the paths of a mask to their wire form; `camel_case` allows no underscores in names.

    Raises:
        ValueError: the text is not a mask, or has too many paths.
    """
    if camel_case and text.count(",") < MAX_PATHS and _PLAIN.fullmatch(text):
        return text.translate(_SNAKE).split(",")
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
