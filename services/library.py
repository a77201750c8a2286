"""The library service: library.v1.LibraryService over the data in `services.holdings`."""

import asyncio
import hashlib
import re
import sys
from collections.abc import AsyncIterator

import grpc.aio
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.empty_pb2 import Empty

from gen.library.v1 import library_pb2 as pb
from gen.library.v1 import library_pb2_grpc as rpc
from services import serving
from services.broadcast import Listener
from services.holdings import Holdings
from services.naming import ANY_SHELF, check_book_name, check_shelf_name
from services.ordering import chosen
from services.paging import page
from services.refusal import Context, Refusal, invalid
from services.seed import seeded

BATCH_LIMIT = 100
USUAL_PIECE_BYTES = 64 * 1024
LARGEST_PIECE_BYTES = 1024 * 1024
_RANGE = re.compile(r"bytes=([0-9]{1,18})-([0-9]{1,18})?")


class LibraryService(rpc.LibraryServiceServicer):
    """library.v1.LibraryService."""

    def __init__(self, holdings: Holdings) -> None:
        self._holdings = holdings

    async def ListShelves(
        self, request: pb.ListShelvesRequest, context: Context
    ) -> pb.ListShelvesResponse:
        """One page of the shelves."""
        shelves = self._holdings.shelves()
        shown, next_token = page(shelves, request, request.page_size, request.page_token)
        return pb.ListShelvesResponse(shelves=shown, next_page_token=next_token)

    async def GetShelf(self, request: pb.GetShelfRequest, context: Context) -> pb.Shelf:
        """A shelf."""
        return self._holdings.shelf(check_shelf_name("name", request.name))

    async def CreateShelf(self, request: pb.CreateShelfRequest, context: Context) -> pb.Shelf:
        """Creates a shelf."""
        return self._holdings.add_shelf(request.shelf.theme, request.shelf_id)

    async def DeleteShelf(self, request: pb.DeleteShelfRequest, context: Context) -> Empty:
        """Deletes a shelf."""
        name = check_shelf_name("name", request.name)
        self._holdings.remove_shelf(name, force=request.force)
        return Empty()

    async def MergeShelves(self, request: pb.MergeShelvesRequest, context: Context) -> pb.Shelf:
        """Merges two shelves, and returns the one that remains."""
        name = check_shelf_name("name", request.name)
        other = check_shelf_name("other_shelf", request.other_shelf)
        return self._holdings.merge_shelves(name, other)

    async def ListBooks(
        self, request: pb.ListBooksRequest, context: Context
    ) -> pb.ListBooksResponse:
        """One page of the matching books."""
        if request.parent in ("", ANY_SHELF):
            books = self._holdings.books()
        else:
            shelf = self._holdings.shelf(check_shelf_name("parent", request.parent))
            books = self._holdings.books_on(shelf.name)
        found = chosen(books, request)
        shown, next_token = page(found, request, request.page_size, request.page_token)
        return pb.ListBooksResponse(books=shown, next_page_token=next_token, total_size=len(found))

    async def GetBook(self, request: pb.GetBookRequest, context: Context) -> pb.Book:
        """A book."""
        book = self._holdings.book(check_book_name("name", request.name))
        return await _tagged(book, context)

    async def CreateBook(self, request: pb.CreateBookRequest, context: Context) -> pb.Book:
        """Creates a book."""
        parent = check_shelf_name("parent", request.parent)
        return await _tagged(
            self._holdings.add_book(parent, request.book, request.book_id), context
        )

    async def UpdateBook(self, request: pb.UpdateBookRequest, context: Context) -> pb.Book:
        """Changes a book."""
        check_book_name("book.name", request.book.name)
        return await _tagged(self._holdings.change_book(request.book, _paths(request)), context)

    async def DeleteBook(self, request: pb.DeleteBookRequest, context: Context) -> Empty:
        """Deletes a book."""
        self._holdings.remove_book(check_book_name("name", request.name), request.etag)
        return Empty()

    async def MoveBook(self, request: pb.MoveBookRequest, context: Context) -> pb.Book:
        """Moves a book, and returns it with its new name."""
        name = check_book_name("name", request.name)
        other = check_shelf_name("other_shelf", request.other_shelf)
        return await _tagged(self._holdings.move_book(name, other), context)

    async def BatchGetBooks(
        self, request: pb.BatchGetBooksRequest, context: Context
    ) -> pb.BatchGetBooksResponse:
        """Several books, or none if one of them does not exist (AIP-231)."""
        if not 1 <= len(request.names) <= BATCH_LIMIT:
            raise invalid(("names", f"expected 1 to {BATCH_LIMIT}"))
        names = [check_book_name(f"names[{i}]", name) for i, name in enumerate(request.names)]
        return pb.BatchGetBooksResponse(books=map(self._holdings.book, names))

    async def GetCover(self, request: pb.GetCoverRequest, context: Context) -> HttpBody:
        """A cover."""
        return self._holdings.cover(check_book_name("name", request.name))

    async def CheckCover(self, request: pb.CheckCoverRequest, context: Context) -> Empty:
        """Succeeds if there is a cover; its size and digest are in the metadata."""
        name = check_book_name("name", request.name)
        cover = _summary(name, self._holdings.cover(name))
        await context.send_initial_metadata(
            (("cover-bytes", str(cover.size_bytes)), ("cover-sha256-bin", cover.sha256))
        )
        return Empty()

    async def SetCover(self, request: pb.SetCoverRequest, context: Context) -> pb.Cover:
        """Sets a cover, and returns its properties."""
        name = check_book_name("name", request.name)
        return self._set_cover(name, request.cover.content_type, request.cover.data)

    async def WatchBooks(
        self, request: pb.WatchBooksRequest, context: Context
    ) -> AsyncIterator[pb.BookEvent]:
        """The events of a shelf's books."""
        shelf = self._holdings.shelf(check_shelf_name("parent", request.parent))
        if request.max_events < 0:
            raise invalid(("max_events", "expected 0 or more"))
        with self._holdings.events.listen(shelf.name) as events:
            if request.existing:
                for event in self._holdings.existing_on(shelf.name):
                    events.put(event)
            # Signals to the caller that it receives all events from here on.
            await context.send_initial_metadata((("library-watching", shelf.name),))
            sent = 0
            async for event in events:
                yield event
                sent += 1
                if sent == request.max_events:
                    return

    async def ImportBooks(
        self, requests: AsyncIterator[pb.ImportBooksRequest], context: Context
    ) -> pb.ImportBooksResponse:
        """Puts books on a shelf, and returns their names."""
        parent = ""
        books = []
        async for request in requests:
            parent = _unchanged("parent", parent, request.parent)
            check_shelf_name("parent", parent)
            books.append((request.book, request.book_id))
        if not books:
            raise invalid(("book", "is required: the stream is empty"))
        added = self._holdings.add_books(parent, books)
        return pb.ImportBooksResponse(book_count=len(added), names=[book.name for book in added])

    async def Discuss(
        self, requests: AsyncIterator[pb.DiscussRequest], context: Context
    ) -> AsyncIterator[pb.Remark]:
        """The remarks of all participants, until the caller has sent and received its own."""
        first = await anext(aiter(requests), None)
        if first is None:
            return
        book = self._holdings.book(check_book_name("name", first.name))
        with self._holdings.talk.listen(book.name) as heard:
            await context.send_initial_metadata((("library-discussing", book.name),))
            speaking = asyncio.create_task(self._speak(first, requests, heard))
            try:
                async for remark in heard:
                    yield remark
            finally:
                speaking.cancel()

    async def DownloadCover(
        self, request: pb.DownloadCoverRequest, context: Context
    ) -> AsyncIterator[HttpBody]:
        """A cover in pieces; the first states its media type (google/api/httpbody.proto)."""
        if not 0 <= request.piece_bytes <= LARGEST_PIECE_BYTES:
            raise invalid(("piece_bytes", f"expected 0 to {LARGEST_PIECE_BYTES}"))
        size = request.piece_bytes or USUAL_PIECE_BYTES
        cover = self._holdings.cover(check_book_name("name", request.name))
        first, last = await _asked_part(cover, context)
        for start in range(first, last + 1, size):
            yield HttpBody(
                content_type=cover.content_type if start == first else "",
                data=cover.data[start : min(start + size, last + 1)],
            )

    async def UploadCover(
        self, requests: AsyncIterator[pb.UploadCoverRequest], context: Context
    ) -> pb.Cover:
        """Sets a cover from pieces, and returns its properties."""
        name, content_type = "", ""
        data = bytearray()
        async for request in requests:
            name = check_book_name("name", _unchanged("name", name, request.name))
            content_type = content_type or request.cover.content_type
            data += request.cover.data
        if not name:
            raise invalid(("name", "is required: the stream is empty"))
        return self._set_cover(name, content_type, bytes(data))

    def _set_cover(self, name: str, content_type: str, data: bytes) -> pb.Cover:
        self._holdings.set_cover(name, content_type, data)
        return _summary(name, self._holdings.cover(name))

    async def _speak(
        self,
        first: pb.DiscussRequest,
        requests: AsyncIterator[pb.DiscussRequest],
        heard: Listener[pb.Remark],
    ) -> None:
        """Delivers the remarks of one participant, then ends its subscription."""
        try:
            if first.text:
                self._holdings.say(first.name, first.author, first.text)
            async for request in requests:
                _unchanged("name", first.name, request.name)
                self._holdings.say(first.name, request.author or first.author, request.text)
        except Refusal as refusal:
            heard.end(refusal)
        else:
            heard.end()


def register(server: grpc.aio.Server, holdings: Holdings | None = None) -> str:
    """Adds the service to a server; without `holdings`, with a new library."""
    rpc.add_LibraryServiceServicer_to_server(LibraryService(holdings or seeded()), server)
    return pb.DESCRIPTOR.services_by_name["LibraryService"].full_name


async def _asked_part(cover: HttpBody, context: Context) -> tuple[int, int]:
    """The first and last byte of the requested part, sent as metadata that a gateway understands.

    Supports one range of bytes, and ignores any other header (RFC 9110 section 14.2).
    """
    size = len(cover.data)
    metadata = dict(context.invocation_metadata())
    asked = _RANGE.fullmatch(str(metadata.get("range", "")))
    first, last = 0, size - 1
    described = [("accept-ranges", "bytes")]
    if asked is not None and int(asked[1]) < size:
        first, last = int(asked[1]), min(int(asked[2] or last), last)
        described += [("x-http-code", "206"), ("content-range", f"bytes {first}-{last}/{size}")]
    await context.send_initial_metadata(
        (*described, ("x-http-content-length", str(max(0, last + 1 - first))))
    )
    return first, last


async def _tagged(book: pb.Book, context: Context) -> pb.Book:
    """The book; its etag and name are also sent as metadata."""
    await context.send_initial_metadata((("library-etag", book.etag),))
    context.set_trailing_metadata((("library-name", book.name),))
    return book


def _paths(request: pb.UpdateBookRequest) -> list[str]:
    """The paths to change; without a mask, those of all populated fields (AIP-134)."""
    if not request.update_mask.paths:
        return [field.name for field, _ in request.book.ListFields()]
    paths = list(request.update_mask.paths)
    for path in paths:
        if path != "*" and not _is_field_path(path):
            raise invalid(("update_mask", f"{path} is not a field of a book"))
    return paths


def _is_field_path(path: str) -> bool:
    *parents, last = path.split(".")
    scope = pb.Book.DESCRIPTOR
    for parent in parents:
        field = scope.fields_by_name.get(parent)
        if field is None or field.message_type is None or field.is_repeated:
            return False
        scope = field.message_type
    return last in scope.fields_by_name


def _unchanged(field: str, known: str, sent: str) -> str:
    """The value that the first message of a stream sets; later ones may only repeat it."""
    if known and sent not in ("", known):
        raise invalid((field, "differs from the first message's"))
    return known or sent


def _summary(name: str, cover: HttpBody) -> pb.Cover:
    return pb.Cover(
        book=name,
        content_type=cover.content_type,
        size_bytes=len(cover.data),
        sha256=hashlib.sha256(cover.data).digest(),
    )


if __name__ == "__main__":
    sys.exit(serving.main({"library": register}))
