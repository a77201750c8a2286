"""Finds the JSON value at the beginning of a body that other text follows."""

import json
from typing import Final

_scan: Final = json.JSONDecoder().raw_decode


def first_value(body: bytes) -> bytes | None:
    """Returns the JSON value that `body` begins with; None if nothing follows it, or it has none.

    The value itself may still be refused: it is only delimited here.
    """
    text = body.decode("utf-8", "surrogateescape").lstrip(" \t\n\r")
    try:
        _, end = _scan(text)
    except (ValueError, RecursionError):
        return None
    if not text[end:].strip(" \t\n\r"):
        return None
    return text[:end].encode("utf-8", "surrogateescape")
