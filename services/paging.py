"""Pages of a list: sizes, and tokens that are valid only for their list (AIP-158)."""

import base64
import hashlib
import json
from collections.abc import Sequence
from typing import TypeVar

from google.protobuf.message import Message

from services.refusal import invalid

USUAL_SIZE = 50
LARGEST_SIZE = 1000

T = TypeVar("T")


def page(items: Sequence[T], request: Message, size: int, token: str) -> tuple[Sequence[T], str]:
    """The items of the page that `token` names, and the token of the next page, "" on the last.

    Raises:
        Refusal: the size is negative, or the token belongs to another request.
    """
    if size < 0:
        raise invalid(("page_size", "expected 0 or more"))
    asked = _digest(request)
    start = _start(token, asked) if token else 0
    end = start + min(size or USUAL_SIZE, LARGEST_SIZE)
    return items[start:end], _token(end, asked) if end < len(items) else ""


def _digest(request: Message) -> str:
    """A digest of the request without its page."""
    plain = type(request)()
    plain.CopyFrom(request)
    for field in ("page_size", "page_token"):
        plain.ClearField(field)
    return hashlib.blake2b(plain.SerializeToString(deterministic=True), digest_size=6).hexdigest()


def _token(start: int, asked: str) -> str:
    return base64.urlsafe_b64encode(json.dumps([start, asked]).encode()).decode().rstrip("=")


def _start(token: str, asked: str) -> int:
    try:
        padded = token + "=" * (-len(token) % 4)
        start, made_for = json.loads(base64.b64decode(padded, b"-_", validate=True))
    except (ValueError, TypeError, RecursionError):
        raise invalid(("page_token", "expected the next_page_token of an earlier page")) from None
    if made_for != asked:
        raise invalid(("page_token", "belongs to a list with another filter or order"))
    if not isinstance(start, int) or start < 0:
        raise invalid(("page_token", "expected the next_page_token of an earlier page"))
    return start
