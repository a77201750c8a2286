"""The members of `baggage` that reach back ends (W3C Baggage, section 3.3)."""

from collections.abc import Container
from typing import Final

BAGGAGE: Final = "baggage"
_LONGEST: Final = 8192
_MOST_MEMBERS: Final = 64


def kept_baggage(value: bytes, keys: Container[str]) -> list[tuple[str, str]]:
    """Returns the metadata for one line of `baggage`: its members with these keys, unchanged.

    Nothing if there are none, or if the line is longer, or has more members, than every program
    has to pass on.
    """
    if len(value) > _LONGEST or value.count(b",") >= _MOST_MEMBERS:
        return []
    text = value.decode("latin-1").replace("\t", " ")  # may be around members, not in metadata
    if not (text.isascii() and text.isprintable()):
        return []
    members = [member.strip() for member in text.split(",")]
    kept = [member for member in members if member.partition("=")[0].rstrip() in keys]
    return [(BAGGAGE, ",".join(kept))] if kept else []
