"""Validates the names of shelves and books (AIP-122), and the fields of books."""

import re
from collections.abc import Iterator

from gen.library.v1.library_pb2 import Book
from services.refusal import invalid

ANY_SHELF = "shelves/-"

_ID = r"[A-Za-z0-9][A-Za-z0-9._~-]{0,62}"
_SHELF_NAME = re.compile(rf"shelves/{_ID}")
_BOOK_NAME = re.compile(rf"(shelves/{_ID})/books/{_ID}")


def check_shelf_name(field: str, name: str) -> str:
    """Returns the name if it is a shelf's.

    Raises:
        Refusal: it is not.
    """
    if not _SHELF_NAME.fullmatch(name):
        raise invalid((field, "expected shelves/*"))
    return name


def check_book_name(field: str, name: str) -> str:
    """Returns the name if it is a book's.

    Raises:
        Refusal: it is not.
    """
    if not _BOOK_NAME.fullmatch(name):
        raise invalid((field, "expected shelves/*/books/*"))
    return name


def check_id(field: str, chosen: str) -> str:
    """Returns the last part of a new name if it is valid.

    Raises:
        Refusal: it is not.
    """
    if not re.fullmatch(_ID, chosen):
        raise invalid((field, "expected 1 to 63 of A-Z a-z 0-9 . _ ~ -, a letter or digit first"))
    return chosen


def check_book(book: Book) -> None:
    """Rejects an invalid book, with all violations.

    Raises:
        Refusal: the book is invalid.
    """
    violations = list(_violations(book))
    if violations:
        raise invalid(*violations)


def shelf_of(book_name: str) -> str:
    """The shelf of the book with this name."""
    return book_name.partition("/books/")[0]


def id_of(name: str) -> str:
    """The last part of a name."""
    return name.rpartition("/")[2]


def _violations(book: Book) -> Iterator[tuple[str, str]]:
    if not book.title:
        yield "book.title", "is required"
    if book.isbn and len(str(book.isbn)) != 13:
        yield "book.isbn", "expected 13 digits"
    if book.page_count < 0:
        yield "book.page_count", "expected 0 or more"
    if not 0 <= book.rating <= 5:
        yield "book.rating", "expected 0 to 5"
