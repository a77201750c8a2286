"""The library's streams: watching, importing, discussing, and covers in pieces."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc.aio
import pytest
from google.api.httpbody_pb2 import HttpBody

from gen.library.v1 import library_pb2 as pb
from services.seed import PNG
from tests.services.refused import refusal, stream_refusal, violations

SHELF = "shelves/fiction"
SOLARIS = f"{SHELF}/books/solaris"


def new(title: str, book_id: str, parent: str = SHELF) -> pb.CreateBookRequest:
    return pb.CreateBookRequest(parent=parent, book=pb.Book(title=title), book_id=book_id)


def imported(title: str, book_id: str, parent: str = SHELF) -> pb.ImportBooksRequest:
    return pb.ImportBooksRequest(parent=parent, book=pb.Book(title=title), book_id=book_id)


async def watching(library: Any, **fields: Any) -> Any:
    """A watch that misses nothing that happens from now on."""
    watch = library.WatchBooks(pb.WatchBooksRequest(parent=SHELF, **fields))
    await watch.initial_metadata()
    return watch


async def test_a_watch_tells_of_each_change_as_it_happens(library: Any) -> None:
    watch = await watching(library, max_events=4)
    await library.CreateBook(new("Emma", "emma"))
    emma = pb.Book(name=f"{SHELF}/books/emma", title="Emma (1815)")
    await library.UpdateBook(pb.UpdateBookRequest(book=emma))
    move = pb.MoveBookRequest(name=emma.name, other_shelf="shelves/poetry")
    await library.MoveBook(move)
    await library.CreateBook(new("Elsewhere", "x", parent="shelves/poetry"))
    await library.DeleteBook(pb.DeleteBookRequest(name=SOLARIS))
    seen = [(pb.BookEvent.Kind.Name(e.kind), e.book.title) async for e in watch]
    assert seen == [
        ("CREATED", "Emma"),
        ("UPDATED", "Emma (1815)"),
        ("DELETED", "Emma (1815)"),
        ("DELETED", "Solaris"),
    ]


async def test_a_watch_can_begin_with_the_books_that_are_there(library: Any) -> None:
    watch = await watching(library, existing=True, max_events=3)
    events = [event async for event in watch]
    assert {event.kind for event in events} == {pb.BookEvent.EXISTING}
    titles = [event.book.title for event in events]
    assert titles == ["Middlemarch", "Solaris", "The Left Hand of Darkness"]


async def test_a_watch_fails_when_its_shelf_is_taken_down(library: Any) -> None:
    watch = await watching(library)
    await library.DeleteShelf(pb.DeleteShelfRequest(name=SHELF, force=True))
    kinds = [(await watch.read()).kind for _ in range(3)]
    assert kinds == [pb.BookEvent.DELETED] * 3
    code, (detail,) = await stream_refusal(watch)
    assert (code, detail.resource_name) == ("NOT_FOUND", SHELF)


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        pytest.param(pb.WatchBooksRequest(parent="shelves/nope"), "NOT_FOUND", id="no shelf"),
        pytest.param(pb.WatchBooksRequest(parent="nope"), "INVALID_ARGUMENT", id="no name"),
        pytest.param(
            pb.WatchBooksRequest(parent=SHELF, max_events=-1), "INVALID_ARGUMENT", id="below none"
        ),
    ],
)
async def test_a_watch_of_nothing_is_refused(
    library: Any, request_: pb.WatchBooksRequest, code: str
) -> None:
    assert (await stream_refusal(library.WatchBooks(request_)))[0] == code


async def test_many_books_are_imported_and_later_messages_may_leave_the_shelf_out(
    library: Any,
) -> None:
    response = await library.ImportBooks(iter([imported("A", "a"), imported("B", "", parent="")]))
    assert response.book_count == 2
    assert response.names[0] == f"{SHELF}/books/a"
    assert (await library.GetBook(pb.GetBookRequest(name=response.names[1]))).title == "B"


async def test_numbers_given_during_an_import_stay_clear_of_chosen_ones(library: Any) -> None:
    messages = [imported("Chosen", str(number)) for number in range(1, 6)]
    response = await library.ImportBooks(iter([*messages, imported("Numbered", "")]))
    assert len(set(response.names)) == 6


@pytest.mark.parametrize(
    ("last", "code"),
    [
        pytest.param(imported("", "b"), "INVALID_ARGUMENT", id="no title"),
        pytest.param(imported("Solaris", "solaris"), "ALREADY_EXISTS", id="taken before"),
        pytest.param(imported("A", "a"), "ALREADY_EXISTS", id="taken by the same import"),
        pytest.param(imported("B", "b", "shelves/poetry"), "INVALID_ARGUMENT", id="another shelf"),
    ],
)
async def test_one_refused_book_keeps_an_import_from_adding_any(
    library: Any, last: pb.ImportBooksRequest, code: str
) -> None:
    assert (await refusal(library.ImportBooks(iter([imported("A", "a"), last]))))[0] == code
    shelf = await library.GetShelf(pb.GetShelfRequest(name=SHELF))
    assert shelf.book_count == 3


async def test_an_import_of_nothing_is_refused(library: Any) -> None:
    assert await violations(library.ImportBooks(iter([]))) == ["book"]
    assert await violations(library.ImportBooks(iter([imported("A", "a", parent="")]))) == [
        "parent"
    ]


def said(text: str, author: str = "") -> pb.DiscussRequest:
    return pb.DiscussRequest(text=text, author=author)


def joining(author: str, text: str = "") -> pb.DiscussRequest:
    return pb.DiscussRequest(name=SOLARIS, author=author, text=text)


async def test_everyone_in_a_discussion_hears_every_remark_in_one_order(library: Any) -> None:
    ada, ben = library.Discuss(), library.Discuss()
    for call, name in ((ada, "Ada"), (ben, "Ben")):
        await call.write(joining(name))
        await call.initial_metadata()
    await ada.write(said("Is it alive?"))
    heard_by_ben = [await ben.read()]
    await ben.write(said("The ocean? Yes.", author="Benjamin"))
    heard_by_ben.append(await ben.read())
    heard_by_ada = [await ada.read(), await ada.read()]
    assert heard_by_ada == heard_by_ben
    assert [(remark.number, remark.author, remark.text) for remark in heard_by_ada] == [
        (1, "Ada", "Is it alive?"),
        (2, "Benjamin", "The ocean? Yes."),
    ]
    for call in (ada, ben):
        await call.done_writing()
        assert await call.read() is grpc.aio.EOF


async def test_one_who_says_all_at_once_hears_all_of_it_before_the_end(library: Any) -> None:
    call = library.Discuss(iter([joining("Ada", "One"), said("Two"), said("Three")]))
    assert [remark.text async for remark in call] == ["One", "Two", "Three"]


async def test_a_discussion_nobody_joins_is_over(library: Any) -> None:
    assert [remark async for remark in library.Discuss(iter([]))] == []


async def test_a_discussion_ends_with_its_book(library: Any) -> None:
    call = library.Discuss()
    await call.write(joining("Ada"))
    await call.initial_metadata()
    await library.DeleteBook(pb.DeleteBookRequest(name=SOLARIS))
    code, (detail,) = await stream_refusal(call)
    assert (code, detail.resource_name) == ("NOT_FOUND", SOLARIS)


async def test_a_participant_who_leaves_disturbs_nobody(library: Any) -> None:
    leaving, staying = library.Discuss(), library.Discuss()
    for call in (leaving, staying):
        await call.write(joining("Someone"))
        await call.initial_metadata()
    leaving.cancel()
    await staying.write(said("Still here"))
    assert (await staying.read()).text == "Still here"
    staying.cancel()


@pytest.mark.parametrize(
    ("messages", "code"),
    [
        pytest.param([said("No book")], "INVALID_ARGUMENT", id="no book"),
        pytest.param(
            [pb.DiscussRequest(name=f"{SHELF}/books/nope")], "NOT_FOUND", id="no such book"
        ),
        pytest.param(
            [joining("Ada", "Hm"), pb.DiscussRequest(name=f"{SHELF}/books/middlemarch")],
            "INVALID_ARGUMENT",
            id="another book halfway",
        ),
    ],
)
async def test_a_discussion_that_makes_no_sense_is_refused(
    library: Any, messages: list[pb.DiscussRequest], code: str
) -> None:
    assert (await stream_refusal(library.Discuss(iter(messages))))[0] == code


async def test_a_cover_comes_in_pieces_and_the_first_says_what_it_is(library: Any) -> None:
    request = pb.DownloadCoverRequest(name=SOLARIS, piece_bytes=32)
    pieces = [piece async for piece in library.DownloadCover(request)]
    assert [len(piece.data) for piece in pieces] == [32, 32, len(PNG) - 64]
    assert [piece.content_type for piece in pieces] == ["image/png", "", ""]
    assert b"".join(piece.data for piece in pieces) == PNG


async def test_pieces_of_an_impossible_size_are_refused(library: Any) -> None:
    request = pb.DownloadCoverRequest(name=SOLARIS, piece_bytes=2_000_000)
    code, _ = await stream_refusal(library.DownloadCover(request))
    assert code == "INVALID_ARGUMENT"


def uploaded(name: str, pieces: Iterable[tuple[str, bytes]]) -> AsyncIterator[Any]:
    async def messages() -> AsyncIterator[Any]:
        stated = name
        for content_type, data in pieces:
            body = HttpBody(content_type=content_type, data=data)
            yield pb.UploadCoverRequest(name=stated, cover=body)
            await asyncio.sleep(0)
            stated = ""

    return messages()


async def test_a_cover_is_sent_in_pieces_of_which_the_first_names_book_and_type(
    library: Any,
) -> None:
    name = f"{SHELF}/books/middlemarch"
    pieces = [("image/png", PNG[:10]), ("", PNG[10:20]), ("text/plain", PNG[20:])]
    known = await library.UploadCover(uploaded(name, pieces))
    digest = hashlib.sha256(PNG).digest()
    assert known == pb.Cover(
        book=name, content_type="image/png", size_bytes=len(PNG), sha256=digest
    )
    assert (await library.GetCover(pb.GetCoverRequest(name=name))).data == PNG


@pytest.mark.parametrize(
    ("name", "pieces", "field"),
    [
        pytest.param("", [], "name", id="no message"),
        pytest.param("", [("image/png", PNG)], "name", id="no book"),
        pytest.param(SOLARIS, [("image/png", b"")], "cover", id="nothing in it"),
    ],
)
async def test_an_upload_of_nothing_is_refused(
    library: Any, name: str, pieces: list[tuple[str, bytes]], field: str
) -> None:
    assert await violations(library.UploadCover(uploaded(name, pieces))) == [field]
