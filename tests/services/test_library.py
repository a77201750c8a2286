"""The sample library does what a real one does: keeps, finds, changes, refuses and explains."""

import hashlib
from typing import Any

import pytest
from google.api.httpbody_pb2 import HttpBody
from google.protobuf.field_mask_pb2 import FieldMask
from google.protobuf.timestamp_pb2 import Timestamp

from gen.library.v1 import library_pb2 as pb
from services.seed import PNG
from tests.services.refused import refusal, violations

SOLARIS = "shelves/fiction/books/solaris"


def get(name: str) -> pb.GetBookRequest:
    return pb.GetBookRequest(name=name)


async def test_shelves_are_listed_by_name_with_their_counts(library: Any) -> None:
    shelves = (await library.ListShelves(pb.ListShelvesRequest())).shelves
    assert [(shelf.name, shelf.theme, shelf.book_count) for shelf in shelves] == [
        ("shelves/fiction", "Fiction", 3),
        ("shelves/poetry", "Poetry", 0),
        ("shelves/science", "Science", 2),
    ]


async def test_a_shelf_is_put_up_under_a_number_or_a_chosen_id(library: Any) -> None:
    request = pb.CreateShelfRequest(shelf=pb.Shelf(theme="Maps"))
    numbered = await library.CreateShelf(request)
    assert numbered.name.removeprefix("shelves/").isdecimal()
    request.shelf_id = "maps"
    chosen = await library.CreateShelf(request)
    assert chosen == await library.GetShelf(pb.GetShelfRequest(name="shelves/maps"))


async def test_a_shelf_needs_a_theme(library: Any) -> None:
    assert await violations(library.CreateShelf(pb.CreateShelfRequest())) == ["shelf.theme"]


async def test_a_shelf_that_holds_books_stays_unless_forced(library: Any) -> None:
    request = pb.DeleteShelfRequest(name="shelves/science")
    code, (detail,) = await refusal(library.DeleteShelf(request))
    assert (code, detail.violations[0].type) == ("FAILED_PRECONDITION", "NOT_EMPTY")
    request.force = True
    await library.DeleteShelf(request)
    name = "shelves/science/books/gravitation"
    assert (await refusal(library.GetBook(get(name))))[0] == "NOT_FOUND"


async def test_an_empty_shelf_is_taken_down(library: Any) -> None:
    await library.DeleteShelf(pb.DeleteShelfRequest(name="shelves/poetry"))
    request = pb.GetShelfRequest(name="shelves/poetry")
    code, (detail,) = await refusal(library.GetShelf(request))
    assert (code, detail.resource_name) == ("NOT_FOUND", "shelves/poetry")
    assert detail.resource_type == "library.example.com/Shelf"


async def test_merging_moves_every_book_and_takes_the_other_shelf_down(library: Any) -> None:
    request = pb.MergeShelvesRequest(name="shelves/fiction", other_shelf="shelves/science")
    assert (await library.MergeShelves(request)).book_count == 5
    moved = await library.GetBook(get("shelves/fiction/books/gravitation"))
    assert moved.title == "Gravitation"
    gone = library.GetShelf(pb.GetShelfRequest(name="shelves/science"))
    assert (await refusal(gone))[0] == "NOT_FOUND"


async def test_a_merge_that_would_clash_moves_nothing(library: Any) -> None:
    twin = pb.Book(title="Not the one by Lem")
    await library.CreateBook(
        pb.CreateBookRequest(parent="shelves/science", book=twin, book_id="solaris")
    )
    request = pb.MergeShelvesRequest(name="shelves/fiction", other_shelf="shelves/science")
    code, (detail,) = await refusal(library.MergeShelves(request))
    assert (code, detail.resource_name) == ("ALREADY_EXISTS", SOLARIS)
    shelf = await library.GetShelf(pb.GetShelfRequest(name="shelves/science"))
    assert shelf.book_count == 3


async def test_a_shelf_is_not_merged_with_itself(library: Any) -> None:
    request = pb.MergeShelvesRequest(name="shelves/fiction", other_shelf="shelves/fiction")
    assert await violations(library.MergeShelves(request)) == ["other_shelf"]


@pytest.mark.parametrize(
    ("request_", "found"),
    [
        pytest.param(
            pb.ListBooksRequest(parent="shelves/science"),
            ["gravitation", "untitled"],
            id="one shelf",
        ),
        pytest.param(
            pb.ListBooksRequest(parent="shelves/-", genre=pb.SCIENCE),
            ["gravitation", "untitled"],
            id="a genre on all shelves",
        ),
        pytest.param(
            pb.ListBooksRequest(authors=["George Eliot", "Kip S. Thorne"]),
            ["middlemarch", "gravitation"],
            id="one of several authors",
        ),
        pytest.param(
            pb.ListBooksRequest(
                published=pb.ListBooksRequest.TimeRange(
                    after=Timestamp(seconds=-283_996_800), before=Timestamp(seconds=-1)
                )
            ),
            ["solaris", "the-left-hand-of-darkness"],
            id="published in the sixties, the first day included",
        ),
        pytest.param(
            pb.ListBooksRequest(
                published=pb.ListBooksRequest.TimeRange(before=Timestamp(seconds=-283_996_800))
            ),
            ["middlemarch"],
            id="published before, that day excluded",
        ),
        pytest.param(
            pb.ListBooksRequest(min_rating=4.5, order_by="rating desc"),
            ["gravitation", "the-left-hand-of-darkness", "solaris"],
            id="the best, best first",
        ),
        pytest.param(
            pb.ListBooksRequest(min_rating=0, parent="shelves/science"),
            ["gravitation", "untitled"],
            id="a rating of zero is a filter that all pass",
        ),
        pytest.param(
            pb.ListBooksRequest(order_by=" rating , title desc", genre=pb.FICTION),
            ["middlemarch", "solaris", "the-left-hand-of-darkness"],
            id="an order with spaces and two fields",
        ),
    ],
)
async def test_books_are_found(
    library: Any, request_: pb.ListBooksRequest, found: list[str]
) -> None:
    response = await library.ListBooks(request_)
    assert [book.name.rpartition("/")[2] for book in response.books] == found
    assert response.total_size == len(found)


async def test_the_second_field_of_an_order_decides_where_the_first_is_equal(library: Any) -> None:
    for book_id, title in (("a", "Same"), ("b", "Same"), ("c", "First")):
        book = pb.Book(title=title, page_count=ord(book_id))
        await library.CreateBook(
            pb.CreateBookRequest(parent="shelves/poetry", book=book, book_id=book_id)
        )
    request = pb.ListBooksRequest(parent="shelves/poetry", order_by="title,page_count desc")
    books = (await library.ListBooks(request)).books
    assert [book.name[-1] for book in books] == ["c", "b", "a"]


async def test_pages_follow_each_other_to_the_end(library: Any) -> None:
    request = pb.ListBooksRequest(page_size=2, order_by="title")
    sizes: list[int] = []
    titles: list[str] = []
    for _ in range(3):
        response = await library.ListBooks(request)
        sizes.append(len(response.books))
        titles += [book.title for book in response.books]
        request.page_token = response.next_page_token
    assert sizes == [2, 2, 1]
    assert titles == sorted(titles, key=str.casefold)
    assert request.page_token == ""


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        pytest.param(pb.ListBooksRequest(page_size=-1), "page_size", id="a negative size"),
        pytest.param(pb.ListBooksRequest(page_token="what?"), "page_token", id="no base64"),
        pytest.param(pb.ListBooksRequest(page_token="YWJj"), "page_token", id="not one of ours"),
        pytest.param(pb.ListBooksRequest(page_token="NQ"), "page_token", id="JSON, but a number"),
        pytest.param(pb.ListBooksRequest(page_token="ść"), "page_token", id="not even ASCII"),
        pytest.param(pb.ListBooksRequest(order_by="colour"), "order_by", id="no such field"),
        pytest.param(pb.ListBooksRequest(order_by="title down"), "order_by", id="no such way"),
        pytest.param(pb.ListBooksRequest(parent="fiction"), "parent", id="no name of a shelf"),
    ],
)
async def test_a_list_that_makes_no_sense_is_refused(
    library: Any, request_: pb.ListBooksRequest, field: str
) -> None:
    assert await violations(library.ListBooks(request_)) == [field]


async def test_a_page_token_fits_only_the_list_it_came_from(library: Any) -> None:
    first = await library.ListBooks(pb.ListBooksRequest(page_size=1))
    other = pb.ListBooksRequest(page_token=first.next_page_token, genre=pb.FICTION)
    assert await violations(library.ListBooks(other)) == ["page_token"]
    same = pb.ListBooksRequest(page_token=first.next_page_token, page_size=100)
    assert len((await library.ListBooks(same)).books) == 4


async def test_a_book_comes_with_its_etag_in_headers_and_its_name_in_trailers(library: Any) -> None:
    call = library.GetBook(get(SOLARIS))
    book = await call
    assert (await call.initial_metadata())["library-etag"] == book.etag
    assert (await call.trailing_metadata())["library-name"] == SOLARIS


@pytest.mark.parametrize(
    ("name", "code"),
    [
        pytest.param("shelves/fiction/books/nope", "NOT_FOUND", id="no such book"),
        pytest.param("shelves/nope/books/solaris", "NOT_FOUND", id="no such shelf"),
        pytest.param("shelves/fiction", "INVALID_ARGUMENT", id="a shelf's name"),
        pytest.param("", "INVALID_ARGUMENT", id="no name"),
    ],
)
async def test_a_book_that_is_not_there_is_refused(library: Any, name: str, code: str) -> None:
    assert (await refusal(library.GetBook(get(name))))[0] == code


async def test_a_new_book_is_kept_with_a_name_times_and_an_etag(library: Any) -> None:
    sent = pb.Book(name="ignored", etag="ignored", title="Emma", labels={"a": "b"})
    request = pb.CreateBookRequest(parent="shelves/fiction", book=sent, book_id="emma")
    book = await library.CreateBook(request)
    assert book == await library.GetBook(get("shelves/fiction/books/emma"))
    assert (book.title, dict(book.labels)) == ("Emma", {"a": "b"})
    assert book.etag not in ("", "ignored")
    assert book.create_time.seconds > 0
    assert book.update_time.seconds > 0


async def test_a_book_without_an_id_gets_a_free_number(library: Any) -> None:
    request = pb.CreateBookRequest(parent="shelves/poetry", book=pb.Book(title="Odes"))
    names = {(await library.CreateBook(request)).name for _ in range(2)}
    assert len(names) == 2
    assert all(name.rpartition("/")[2].isdecimal() for name in names)


async def test_a_taken_name_is_refused(library: Any) -> None:
    request = pb.CreateBookRequest(
        parent="shelves/fiction", book=pb.Book(title="Solaris"), book_id="solaris"
    )
    code, (detail,) = await refusal(library.CreateBook(request))
    assert (code, detail.resource_name) == ("ALREADY_EXISTS", SOLARIS)


async def test_everything_that_is_wrong_with_a_book_is_told_at_once(library: Any) -> None:
    book = pb.Book(isbn=123, page_count=-1, rating=5.5)
    request = pb.CreateBookRequest(parent="shelves/fiction", book=book)
    assert await violations(library.CreateBook(request)) == [
        "book.title",
        "book.isbn",
        "book.page_count",
        "book.rating",
    ]


async def test_a_rating_that_is_no_number_is_refused(library: Any) -> None:
    book = pb.Book(title="x", rating=float("nan"))
    request = pb.CreateBookRequest(parent="shelves/fiction", book=book)
    assert await violations(library.CreateBook(request)) == ["book.rating"]


async def test_an_id_that_no_path_can_carry_is_refused(library: Any) -> None:
    request = pb.CreateBookRequest(parent="shelves/fiction", book=pb.Book(title="x"), book_id="a/b")
    assert await violations(library.CreateBook(request)) == ["book_id"]


@pytest.mark.parametrize(
    ("sent", "paths", "changed"),
    [
        pytest.param(
            pb.Book(title="New", rating=0),
            ["title", "rating"],
            {"title": "New", "rating": 0},
            id="a masked default is written",
        ),
        pytest.param(
            pb.Book(title="New", rating=0), [], {"title": "New"}, id="no mask: what is there"
        ),
        pytest.param(
            pb.Book(title="New", rating=1), ["rating"], {"rating": 1}, id="nothing beside the mask"
        ),
        pytest.param(
            pb.Book(authors=["A"]), ["authors"], {"authors": ["A"]}, id="a list is replaced"
        ),
        pytest.param(
            pb.Book(labels={"a": "b"}), ["labels"], {"labels": {"a": "b"}}, id="a map is replaced"
        ),
        pytest.param(pb.Book(), ["labels"], {"labels": {}}, id="a map is emptied"),
        pytest.param(
            pb.Book(dimensions=pb.Book.Dimensions(width_mm=1)),
            ["dimensions"],
            {"dimensions": pb.Book.Dimensions(width_mm=1)},
            id="a message is replaced",
        ),
        pytest.param(
            pb.Book(dimensions=pb.Book.Dimensions(width_mm=1)),
            ["dimensions.width_mm"],
            {
                "dimensions": pb.Book.Dimensions(width_mm=1, height_mm=203.5, thickness_mm=14),
            },
            id="a field within a message",
        ),
        pytest.param(
            pb.Book(donation=pb.Donation(donor="D")),
            ["donation"],
            {"donation": pb.Donation(donor="D"), "purchase": pb.Purchase()},
            id="another member of a oneof",
        ),
        pytest.param(
            pb.Book(), ["language", "edition"], {"language": None, "edition": None}, id="cleared"
        ),
        pytest.param(
            pb.Book(title="New", create_time=Timestamp(seconds=1)),
            ["title", "create_time", "etag"],
            {"title": "New"},
            id="what the library writes itself is left alone",
        ),
        pytest.param(
            pb.Book(title="New"),
            ["*"],
            {
                field: None
                for field in pb.Book.DESCRIPTOR.fields_by_name
                if field not in ("name", "etag", "create_time", "update_time")
            }
            | {"title": "New"},
            id="a full replacement",
        ),
    ],
)
async def test_an_update_changes_what_the_mask_names(
    library: Any, sent: pb.Book, paths: list[str], changed: dict[str, Any]
) -> None:
    before = await library.GetBook(get(SOLARIS))
    sent.name = SOLARIS
    after = await library.UpdateBook(
        pb.UpdateBookRequest(book=sent, update_mask=FieldMask(paths=paths))
    )
    assert after.etag != before.etag
    for field in pb.Book.DESCRIPTOR.fields_by_name:
        if field in ("etag", "update_time"):
            continue
        if field in changed:
            wanted = changed[field]
            empty = getattr(pb.Book(), field)
            assert getattr(after, field) == (empty if wanted is None else wanted), field
        elif field not in ("purchase", "donation") or "donation" not in changed:
            assert getattr(after, field) == getattr(before, field), field
    assert after == await library.GetBook(get(SOLARIS))


async def test_clearing_a_field_with_presence_makes_it_absent(library: Any) -> None:
    request = pb.UpdateBookRequest(
        book=pb.Book(name=SOLARIS), update_mask=FieldMask(paths=["language", "edition"])
    )
    book = await library.UpdateBook(request)
    assert not book.HasField("language")
    assert not book.HasField("edition")


@pytest.mark.parametrize("path", ["colour", "labels.a", "title.first", "authors.x", ""])
async def test_a_mask_that_leads_nowhere_is_refused(library: Any, path: str) -> None:
    request = pb.UpdateBookRequest(
        book=pb.Book(name=SOLARIS), update_mask=FieldMask(paths=["title", path])
    )
    assert await violations(library.UpdateBook(request)) == ["update_mask"]


async def test_an_update_that_would_leave_a_book_malformed_changes_nothing(library: Any) -> None:
    request = pb.UpdateBookRequest(
        book=pb.Book(name=SOLARIS), update_mask=FieldMask(paths=["title"])
    )
    assert await violations(library.UpdateBook(request)) == ["book.title"]
    assert (await library.GetBook(get(SOLARIS))).title == "Solaris"


async def test_an_update_or_delete_with_an_old_etag_is_aborted(library: Any) -> None:
    old = (await library.GetBook(get(SOLARIS))).etag
    update = pb.UpdateBookRequest(book=pb.Book(name=SOLARIS, title="First", etag=old))
    new = (await library.UpdateBook(update)).etag
    update.book.title = "Second"
    code, (detail,) = await refusal(library.UpdateBook(update))
    assert (code, detail.reason) == ("ABORTED", "ETAG_MISMATCH")
    assert dict(detail.metadata) == {"sent": old, "current": new}
    deletion = pb.DeleteBookRequest(name=SOLARIS, etag=old)
    assert (await refusal(library.DeleteBook(deletion)))[0] == "ABORTED"
    assert (await library.GetBook(get(SOLARIS))).title == "First"


async def test_a_deleted_book_is_gone_with_its_cover(library: Any) -> None:
    await library.DeleteBook(pb.DeleteBookRequest(name=SOLARIS))
    assert (await refusal(library.GetBook(get(SOLARIS))))[0] == "NOT_FOUND"
    again = pb.CreateBookRequest(
        parent="shelves/fiction", book=pb.Book(title="Solaris"), book_id="solaris"
    )
    await library.CreateBook(again)
    code, (detail,) = await refusal(library.GetCover(pb.GetCoverRequest(name=SOLARIS)))
    assert (code, detail.resource_name) == ("NOT_FOUND", f"{SOLARIS}/cover")


async def test_a_moved_book_takes_its_cover_along(library: Any) -> None:
    request = pb.MoveBookRequest(name=SOLARIS, other_shelf="shelves/poetry")
    moved = await library.MoveBook(request)
    assert moved.name == "shelves/poetry/books/solaris"
    assert (await library.GetCover(pb.GetCoverRequest(name=moved.name))).data == PNG
    assert (await refusal(library.GetBook(get(SOLARIS))))[0] == "NOT_FOUND"


@pytest.mark.parametrize(
    ("shelf", "code"),
    [
        pytest.param("shelves/nope", "NOT_FOUND", id="to no shelf"),
        pytest.param("shelves/fiction", "INVALID_ARGUMENT", id="to where it is"),
        pytest.param("nope", "INVALID_ARGUMENT", id="to no name"),
    ],
)
async def test_a_book_stays_when_it_cannot_be_moved(library: Any, shelf: str, code: str) -> None:
    request = pb.MoveBookRequest(name=SOLARIS, other_shelf=shelf)
    assert (await refusal(library.MoveBook(request)))[0] == code
    assert (await library.GetBook(get(SOLARIS))).title == "Solaris"


async def test_several_books_come_in_the_order_asked_for(library: Any) -> None:
    names = [SOLARIS, "shelves/science/books/gravitation", SOLARIS]
    response = await library.BatchGetBooks(pb.BatchGetBooksRequest(names=names))
    assert [book.name for book in response.books] == names


async def test_several_books_are_all_there_or_none_is_given(library: Any) -> None:
    names = [SOLARIS, "shelves/science/books/nope"]
    call = library.BatchGetBooks(pb.BatchGetBooksRequest(names=names))
    code, (detail,) = await refusal(call)
    assert (code, detail.resource_name) == ("NOT_FOUND", names[1])


@pytest.mark.parametrize(
    ("names", "field"),
    [
        pytest.param([], "names", id="none"),
        pytest.param([SOLARIS] * 101, "names", id="too many"),
        pytest.param([SOLARIS, "x"], "names[1]", id="no name of a book"),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused(
    library: Any, names: list[str], field: str
) -> None:
    call = library.BatchGetBooks(pb.BatchGetBooksRequest(names=names))
    assert await violations(call) == [field]


async def test_a_cover_is_its_image(library: Any) -> None:
    cover = await library.GetCover(pb.GetCoverRequest(name=SOLARIS))
    assert (cover.content_type, cover.data) == ("image/png", PNG)


async def test_checking_a_cover_tells_its_size_and_digest_in_metadata(library: Any) -> None:
    call = library.CheckCover(pb.CheckCoverRequest(name=SOLARIS))
    await call
    headers = await call.initial_metadata()
    assert headers["cover-bytes"] == str(len(PNG))
    assert headers["cover-sha256-bin"] == hashlib.sha256(PNG).digest()
    missing = pb.CheckCoverRequest(name="shelves/fiction/books/middlemarch")
    assert (await refusal(library.CheckCover(missing)))[0] == "NOT_FOUND"


async def test_a_cover_is_set(library: Any) -> None:
    name = "shelves/fiction/books/middlemarch"
    body = HttpBody(content_type="image/gif", data=b"GIF89a")
    known = await library.SetCover(pb.SetCoverRequest(name=name, cover=body))
    digest = hashlib.sha256(b"GIF89a").digest()
    assert known == pb.Cover(book=name, content_type="image/gif", size_bytes=6, sha256=digest)
    assert await library.GetCover(pb.GetCoverRequest(name=name)) == body


async def test_an_empty_cover_is_refused(library: Any) -> None:
    assert await violations(library.SetCover(pb.SetCoverRequest(name=SOLARIS))) == ["cover"]
