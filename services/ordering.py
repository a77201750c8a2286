"""Filters and sorts the books of a list (AIP-132)."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from gen.library.v1.library_pb2 import GENRE_UNSPECIFIED, Book, ListBooksRequest
from services.refusal import invalid

_KEYS: Mapping[str, Callable[[Book], Any]] = {
    "name": lambda book: book.name,
    "title": lambda book: book.title.casefold(),
    "rating": lambda book: book.rating,
    "isbn": lambda book: book.isbn,
    "page_count": lambda book: book.page_count,
    "publish_time": lambda book: book.publish_time.ToNanoseconds(),
    "create_time": lambda book: book.create_time.ToNanoseconds(),
}
_TERM = re.compile(r"\s*(\w+)(?:\s+(asc|desc))?\s*")


def chosen(books: Iterable[Book], request: ListBooksRequest) -> list[Book]:
    """The books that match all filters of the request, in its order.

    Raises:
        Refusal: the order has a field that books cannot be sorted by.
    """
    order = _parse_order(request.order_by)
    found = sorted((book for book in books if _passes(book, request)), key=_KEYS["name"])
    # Sorting is stable: sorting by the last field first makes earlier fields count more.
    for key, descending in reversed(order):
        found.sort(key=key, reverse=descending)
    return found


def _parse_order(order_by: str) -> list[tuple[Callable[[Book], Any], bool]]:
    order = []
    for term in order_by.split(",") if order_by.strip() else []:
        match = _TERM.fullmatch(term)
        if match is None or match[1] not in _KEYS:
            fields = ", ".join(_KEYS)
            raise invalid(
                ("order_by", f"expected a list of fields, each with or without desc: {fields}")
            )
        order.append((_KEYS[match[1]], match[2] == "desc"))
    return order


def _passes(book: Book, request: ListBooksRequest) -> bool:
    return (
        request.genre in (GENRE_UNSPECIFIED, book.genre)
        and (not request.authors or not set(request.authors).isdisjoint(book.authors))
        and (not request.HasField("min_rating") or book.rating >= request.min_rating)
        and (not request.HasField("published") or _was_published(book, request.published))
    )


def _was_published(book: Book, time: ListBooksRequest.TimeRange) -> bool:
    if not book.HasField("publish_time"):
        return False
    at = _instant(book.publish_time)
    return (not time.HasField("after") or at >= _instant(time.after)) and (
        not time.HasField("before") or at < _instant(time.before)
    )


def _instant(time: Timestamp) -> tuple[int, int]:
    return time.seconds, time.nanos
