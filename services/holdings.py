"""The library's data: shelves, books, covers and discussions, in memory, without gRPC.

Every change is one synchronous step, so no call sees an unfinished one. Books are never modified
in place: a new object replaces the old one.
"""

import time
from collections import ChainMap
from collections.abc import Callable, Container, Iterable, Iterator

from google.api.httpbody_pb2 import HttpBody
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from gen.library.v1.library_pb2 import Book, BookEvent, Remark, Shelf
from services.broadcast import Broadcast
from services.naming import check_book, check_id, id_of, shelf_of
from services.refusal import (
    already_exists,
    etag_mismatch,
    failed_precondition,
    invalid,
    not_found,
)

Clock = Callable[[], int]
"""Returns nanoseconds since 1970."""

# Fields that clients cannot change; AIP-203 requires that they are ignored if sent.
_KEPT = frozenset({"name", "etag", "create_time", "update_time"})


class Holdings:
    """Shelves and their books."""

    def __init__(self, clock: Clock = time.time_ns) -> None:
        self.events: Broadcast[BookEvent] = Broadcast()
        """By the name of the shelf."""
        self.talk: Broadcast[Remark] = Broadcast()
        """By the name of the book."""
        self._clock = clock
        self._shelves: dict[str, str] = {}
        self._books: dict[str, Book] = {}
        self._covers: dict[str, HttpBody] = {}
        self._remarks: dict[str, int] = {}
        self._last_number = 0
        self._revision = 0

    def __repr__(self) -> str:
        return f"<Holdings of {len(self._shelves)} shelves, {len(self._books)} books>"

    def shelves(self) -> list[Shelf]:
        """All shelves, by name."""
        return [self.shelf(name) for name in sorted(self._shelves)]

    def shelf(self, name: str) -> Shelf:
        """The shelf with this name."""
        theme = self._shelves.get(name)
        if theme is None:
            raise not_found("Shelf", name)
        return Shelf(name=name, theme=theme, book_count=len(self.books_on(name)))

    def add_shelf(self, theme: str, shelf_id: str = "") -> Shelf:
        """Creates a shelf."""
        if not theme:
            raise invalid(("shelf.theme", "is required"))
        name = self._new_name("shelves", "shelf_id", shelf_id, self._shelves)
        if name in self._shelves:
            raise already_exists("Shelf", name)
        self._shelves[name] = theme
        return self.shelf(name)

    def remove_shelf(self, name: str, *, force: bool) -> None:
        """Deletes a shelf; one with books only if forced."""
        books = self.books_on(self.shelf(name).name)
        if books and not force:
            raise failed_precondition("NOT_EMPTY", name, f"holds books: {len(books)}")
        for book in books:
            self.remove_book(book.name)
        del self._shelves[name]
        self.events.end(name, not_found("Shelf", name))

    def merge_shelves(self, name: str, other: str) -> Shelf:
        """Moves all books of the other shelf, then deletes that shelf."""
        self.shelf(name)
        self.shelf(other)
        if name == other:
            raise invalid(("other_shelf", "is the same shelf"))
        moving = self.books_on(other)
        for book in moving:
            self._refuse_taken(_moved(book.name, name))
        for book in moving:
            self.move_book(book.name, name)
        self.remove_shelf(other, force=False)
        return self.shelf(name)

    def books(self) -> list[Book]:
        """All books of all shelves."""
        return list(self._books.values())

    def books_on(self, shelf: str) -> list[Book]:
        """The books of one shelf."""
        return [book for name, book in self._books.items() if shelf_of(name) == shelf]

    def existing_on(self, shelf: str) -> list[BookEvent]:
        """One event for each book of a shelf, by name."""
        books = sorted(self.books_on(shelf), key=lambda book: book.name)
        return [BookEvent(kind=BookEvent.EXISTING, book=b, time=self._now()) for b in books]

    def book(self, name: str) -> Book:
        """The book with this name."""
        book = self._books.get(name)
        if book is None:
            raise not_found("Book", name)
        return book

    def add_book(self, shelf: str, book: Book, book_id: str) -> Book:
        """Puts a book on a shelf."""
        return self.add_books(shelf, [(book, book_id)])[0]

    def add_books(self, shelf: str, books: Iterable[tuple[Book, str]]) -> list[Book]:
        """Puts books on a shelf: all or, if one is rejected, none."""
        self.shelf(shelf)
        new: dict[str, Book] = {}
        for book, book_id in books:
            check_book(book)
            name = self._new_name(f"{shelf}/books", "book_id", book_id, ChainMap(new, self._books))
            if name in new:
                raise already_exists("Book", name)
            self._refuse_taken(name)
            new[name] = book
        return [self._create(name, book) for name, book in new.items()]

    def change_book(self, book: Book, paths: Iterable[str]) -> Book:
        """Changes the fields at `paths`, which must exist; `*` stands for all of them."""
        current = self.book(book.name)
        self._check_etag(current, book.etag)
        changed = Book()
        changed.CopyFrom(current)
        for path in _writable(paths):
            _copy_path(book, changed, path)
        check_book(changed)
        return self._store(changed, BookEvent.UPDATED)

    def remove_book(self, name: str, etag: str = "") -> None:
        """Deletes a book, its cover and its discussion."""
        book = self.book(name)
        self._check_etag(book, etag)
        self._forget(name)
        self._covers.pop(name, None)
        self._tell(BookEvent.DELETED, book)

    def move_book(self, name: str, shelf: str) -> Book:
        """Moves a book to another shelf, with its cover."""
        book = self.book(name)
        self.shelf(shelf)
        if shelf_of(name) == shelf:
            raise invalid(("other_shelf", "is where the book stands already"))
        moved = Book()
        moved.CopyFrom(book)
        moved.name = _moved(name, shelf)
        self._refuse_taken(moved.name)
        if name in self._covers:
            self._covers[moved.name] = self._covers.pop(name)
        self._forget(name)
        self._tell(BookEvent.DELETED, book)
        return self._store(moved, BookEvent.CREATED)

    def cover(self, name: str) -> HttpBody:
        """A book's cover."""
        self.book(name)
        cover = self._covers.get(name)
        if cover is None:
            raise not_found("Cover", f"{name}/cover")
        return cover

    def set_cover(self, name: str, content_type: str, data: bytes) -> None:
        """Sets a book's cover."""
        self.book(name)
        if not data:
            raise invalid(("cover", "is empty"))
        self._covers[name] = HttpBody(content_type=content_type, data=data)

    def say(self, name: str, author: str, text: str) -> None:
        """Delivers a remark to all participants in a book's discussion."""
        self.book(name)
        number = self._remarks[name] = self._remarks.get(name, 0) + 1
        self.talk.send(name, Remark(number=number, author=author, text=text, time=self._now()))

    def _create(self, name: str, book: Book) -> Book:
        created = Book()
        created.CopyFrom(book)
        created.name = name
        created.create_time.CopyFrom(self._now())
        return self._store(created, BookEvent.CREATED)

    def _store(self, book: Book, kind: BookEvent.Kind) -> Book:
        self._revision += 1
        book.etag = f"{self._revision:08x}"
        book.update_time.CopyFrom(self._now())
        self._books[book.name] = book
        self._tell(kind, book)
        return book

    def _forget(self, name: str) -> None:
        del self._books[name]
        self._remarks.pop(name, None)
        self.talk.end(name, not_found("Book", name))

    def _tell(self, kind: BookEvent.Kind, book: Book) -> None:
        event = BookEvent(kind=kind, book=book, time=self._now())
        self.events.send(shelf_of(book.name), event)

    def _check_etag(self, book: Book, etag: str) -> None:
        if etag and etag != book.etag:
            raise etag_mismatch(book.name, etag, book.etag)

    def _refuse_taken(self, name: str) -> None:
        if name in self._books:
            raise already_exists("Book", name)

    def _new_name(self, where: str, field: str, chosen: str, taken: Container[str]) -> str:
        if chosen:
            return f"{where}/{check_id(field, chosen)}"
        while True:
            self._last_number += 1
            name = f"{where}/{self._last_number}"
            if name not in taken:
                return name

    def _now(self) -> Timestamp:
        now = Timestamp()
        now.FromNanoseconds(self._clock())
        return now


def _moved(name: str, shelf: str) -> str:
    return f"{shelf}/books/{id_of(name)}"


def _writable(paths: Iterable[str]) -> Iterator[str]:
    for path in paths:
        if path == "*":
            yield from (f for f in Book.DESCRIPTOR.fields_by_name if f not in _KEPT)
        elif path.partition(".")[0] not in _KEPT:
            yield path


def _copy_path(source: Message, target: Message, path: str) -> None:
    """Copies the field at `path` from source to target; clears it if it is unset."""
    first, _, rest = path.partition(".")
    if rest:
        _copy_path(getattr(source, first), getattr(target, first), rest)
        return
    only = type(source)()
    only.CopyFrom(source)
    for field, _ in only.ListFields():
        if field.name != first:
            only.ClearField(field.name)
    target.ClearField(first)
    target.MergeFrom(only)
