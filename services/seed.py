"""The shelves and books of a new library; every kind of field is used."""

import base64
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from gen.library.v1.library_pb2 import (
    EBOOK,
    FICTION,
    HARDCOVER,
    PAPERBACK,
    SCIENCE,
    Book,
    Donation,
    Purchase,
)
from services.holdings import Clock, Holdings

# A PNG with one transparent pixel.
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAAAABJRU5ErkJg"
    "gg=="
)

FICTION_BOOKS = {
    "solaris": Book(
        title="Solaris",
        authors=["Stanisław Lem"],
        genre=FICTION,
        isbn=9780156027601,
        page_count=204,
        rating=4.5,
        labels={"shelf-mark": "LEM 1", "condition": "worn"},
        publish_time=datetime(1961, 1, 1, tzinfo=UTC),
        edition={"value": 1},
        language="pl",
        purchase=Purchase(vendor="Antykwariat", price_cents=1250),
        dimensions=Book.Dimensions(width_mm=127, height_mm=203.5, thickness_mm=14),
        formats=[PAPERBACK, EBOOK],
        loan_period=timedelta(days=28),
        tag_id=b"\x04\xfb\xff\x3e",
    ),
    "middlemarch": Book(
        title="Middlemarch",
        subtitle={"value": "A Study of Provincial Life"},
        authors=["George Eliot"],
        genre=FICTION,
        isbn=9780141439549,
        page_count=880,
        rating=4.25,
        publish_time=datetime(1871, 12, 1, tzinfo=UTC),
        language="en",
        donation=Donation(donor="The Friends of the Library"),
        formats=[HARDCOVER],
        loan_period=timedelta(days=42),
    ),
    "the-left-hand-of-darkness": Book(
        title="The Left Hand of Darkness",
        authors=["Ursula K. Le Guin"],
        genre=FICTION,
        isbn=9780441478125,
        page_count=304,
        rating=4.75,
        labels={"prize": "Hugo 1970"},
        publish_time=datetime(1969, 3, 1, tzinfo=UTC),
        language="en",
        purchase=Purchase(vendor="City Books", price_cents=999),
        formats=[PAPERBACK],
        loan_period=timedelta(days=28),
    ),
}

SCIENCE_BOOKS = {
    "gravitation": Book(
        title="Gravitation",
        authors=["Charles W. Misner", "Kip S. Thorne", "John Archibald Wheeler"],
        genre=SCIENCE,
        isbn=9780691177793,
        page_count=1279,
        rating=5,
        publish_time=datetime(1973, 9, 15, 12, 30, 0, 500_000, tzinfo=UTC),
        edition={"value": 2},
        language="en",
        dimensions=Book.Dimensions(width_mm=203, height_mm=254, thickness_mm=58),
        formats=[HARDCOVER],
        loan_period=timedelta(hours=36),
    ),
    "untitled": Book(title="(no title page)", genre=SCIENCE),
}
SHELVES: Mapping[str, Mapping[str, Book]] = {
    "Fiction": FICTION_BOOKS,
    "Science": SCIENCE_BOOKS,
    "Poetry": {},
}


def seeded(clock: Clock = time.time_ns) -> Holdings:
    """A library with three shelves, the last of them empty."""
    holdings = Holdings(clock)
    for theme, books in SHELVES.items():
        shelf = holdings.add_shelf(theme, theme.lower()).name
        holdings.add_books(shelf, [(book, book_id) for book_id, book in books.items()])
    holdings.set_cover("shelves/fiction/books/solaris", "image/png", PNG)
    return holdings
