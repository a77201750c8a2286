import datetime

from gen.buf.validate import validate_pb2 as _validate_pb2
from gatewayapi.v1 import openapi_pb2 as _openapi_pb2
from gatewayapi.v1 import policy_pb2 as _policy_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.api import client_pb2 as _client_pb2
from google.api import field_behavior_pb2 as _field_behavior_pb2
from google.api import httpbody_pb2 as _httpbody_pb2
from google.api import resource_pb2 as _resource_pb2
from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import empty_pb2 as _empty_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf import wrappers_pb2 as _wrappers_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Genre(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    GENRE_UNSPECIFIED: _ClassVar[Genre]
    FICTION: _ClassVar[Genre]
    SCIENCE: _ClassVar[Genre]
    HISTORY: _ClassVar[Genre]
    POETRY: _ClassVar[Genre]

class Format(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FORMAT_UNSPECIFIED: _ClassVar[Format]
    HARDCOVER: _ClassVar[Format]
    PAPERBACK: _ClassVar[Format]
    EBOOK: _ClassVar[Format]
    AUDIO: _ClassVar[Format]
GENRE_UNSPECIFIED: Genre
FICTION: Genre
SCIENCE: Genre
HISTORY: Genre
POETRY: Genre
FORMAT_UNSPECIFIED: Format
HARDCOVER: Format
PAPERBACK: Format
EBOOK: Format
AUDIO: Format

class Shelf(_message.Message):
    __slots__ = ("name", "theme", "book_count")
    NAME_FIELD_NUMBER: _ClassVar[int]
    THEME_FIELD_NUMBER: _ClassVar[int]
    BOOK_COUNT_FIELD_NUMBER: _ClassVar[int]
    name: str
    theme: str
    book_count: int
    def __init__(self, name: _Optional[str] = ..., theme: _Optional[str] = ..., book_count: _Optional[int] = ...) -> None: ...

class Book(_message.Message):
    __slots__ = ("name", "title", "authors", "genre", "isbn", "page_count", "rating", "labels", "publish_time", "subtitle", "edition", "language", "purchase", "donation", "dimensions", "formats", "loan_period", "tag_id", "etag", "create_time", "update_time")
    class Dimensions(_message.Message):
        __slots__ = ("width_mm", "height_mm", "thickness_mm")
        WIDTH_MM_FIELD_NUMBER: _ClassVar[int]
        HEIGHT_MM_FIELD_NUMBER: _ClassVar[int]
        THICKNESS_MM_FIELD_NUMBER: _ClassVar[int]
        width_mm: float
        height_mm: float
        thickness_mm: float
        def __init__(self, width_mm: _Optional[float] = ..., height_mm: _Optional[float] = ..., thickness_mm: _Optional[float] = ...) -> None: ...
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    TITLE_FIELD_NUMBER: _ClassVar[int]
    AUTHORS_FIELD_NUMBER: _ClassVar[int]
    GENRE_FIELD_NUMBER: _ClassVar[int]
    ISBN_FIELD_NUMBER: _ClassVar[int]
    PAGE_COUNT_FIELD_NUMBER: _ClassVar[int]
    RATING_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    PUBLISH_TIME_FIELD_NUMBER: _ClassVar[int]
    SUBTITLE_FIELD_NUMBER: _ClassVar[int]
    EDITION_FIELD_NUMBER: _ClassVar[int]
    LANGUAGE_FIELD_NUMBER: _ClassVar[int]
    PURCHASE_FIELD_NUMBER: _ClassVar[int]
    DONATION_FIELD_NUMBER: _ClassVar[int]
    DIMENSIONS_FIELD_NUMBER: _ClassVar[int]
    FORMATS_FIELD_NUMBER: _ClassVar[int]
    LOAN_PERIOD_FIELD_NUMBER: _ClassVar[int]
    TAG_ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    CREATE_TIME_FIELD_NUMBER: _ClassVar[int]
    UPDATE_TIME_FIELD_NUMBER: _ClassVar[int]
    name: str
    title: str
    authors: _containers.RepeatedScalarFieldContainer[str]
    genre: Genre
    isbn: int
    page_count: int
    rating: float
    labels: _containers.ScalarMap[str, str]
    publish_time: _timestamp_pb2.Timestamp
    subtitle: _wrappers_pb2.StringValue
    edition: _wrappers_pb2.Int32Value
    language: str
    purchase: Purchase
    donation: Donation
    dimensions: Book.Dimensions
    formats: _containers.RepeatedScalarFieldContainer[Format]
    loan_period: _duration_pb2.Duration
    tag_id: bytes
    etag: str
    create_time: _timestamp_pb2.Timestamp
    update_time: _timestamp_pb2.Timestamp
    def __init__(self, name: _Optional[str] = ..., title: _Optional[str] = ..., authors: _Optional[_Iterable[str]] = ..., genre: _Optional[_Union[Genre, str]] = ..., isbn: _Optional[int] = ..., page_count: _Optional[int] = ..., rating: _Optional[float] = ..., labels: _Optional[_Mapping[str, str]] = ..., publish_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., subtitle: _Optional[_Union[_wrappers_pb2.StringValue, _Mapping]] = ..., edition: _Optional[_Union[_wrappers_pb2.Int32Value, _Mapping]] = ..., language: _Optional[str] = ..., purchase: _Optional[_Union[Purchase, _Mapping]] = ..., donation: _Optional[_Union[Donation, _Mapping]] = ..., dimensions: _Optional[_Union[Book.Dimensions, _Mapping]] = ..., formats: _Optional[_Iterable[_Union[Format, str]]] = ..., loan_period: _Optional[_Union[datetime.timedelta, _duration_pb2.Duration, _Mapping]] = ..., tag_id: _Optional[bytes] = ..., etag: _Optional[str] = ..., create_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., update_time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Purchase(_message.Message):
    __slots__ = ("vendor", "price_cents")
    VENDOR_FIELD_NUMBER: _ClassVar[int]
    PRICE_CENTS_FIELD_NUMBER: _ClassVar[int]
    vendor: str
    price_cents: int
    def __init__(self, vendor: _Optional[str] = ..., price_cents: _Optional[int] = ...) -> None: ...

class Donation(_message.Message):
    __slots__ = ("donor",)
    DONOR_FIELD_NUMBER: _ClassVar[int]
    donor: str
    def __init__(self, donor: _Optional[str] = ...) -> None: ...

class ListShelvesRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListShelvesResponse(_message.Message):
    __slots__ = ("shelves", "next_page_token")
    SHELVES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    shelves: _containers.RepeatedCompositeFieldContainer[Shelf]
    next_page_token: str
    def __init__(self, shelves: _Optional[_Iterable[_Union[Shelf, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetShelfRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateShelfRequest(_message.Message):
    __slots__ = ("shelf", "shelf_id")
    SHELF_FIELD_NUMBER: _ClassVar[int]
    SHELF_ID_FIELD_NUMBER: _ClassVar[int]
    shelf: Shelf
    shelf_id: str
    def __init__(self, shelf: _Optional[_Union[Shelf, _Mapping]] = ..., shelf_id: _Optional[str] = ...) -> None: ...

class DeleteShelfRequest(_message.Message):
    __slots__ = ("name", "force")
    NAME_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    name: str
    force: bool
    def __init__(self, name: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class MergeShelvesRequest(_message.Message):
    __slots__ = ("name", "other_shelf")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OTHER_SHELF_FIELD_NUMBER: _ClassVar[int]
    name: str
    other_shelf: str
    def __init__(self, name: _Optional[str] = ..., other_shelf: _Optional[str] = ...) -> None: ...

class ListBooksRequest(_message.Message):
    __slots__ = ("parent", "page_size", "page_token", "genre", "authors", "published", "min_rating", "order_by")
    class TimeRange(_message.Message):
        __slots__ = ("after", "before")
        AFTER_FIELD_NUMBER: _ClassVar[int]
        BEFORE_FIELD_NUMBER: _ClassVar[int]
        after: _timestamp_pb2.Timestamp
        before: _timestamp_pb2.Timestamp
        def __init__(self, after: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., before: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...
    PARENT_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    GENRE_FIELD_NUMBER: _ClassVar[int]
    AUTHORS_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_FIELD_NUMBER: _ClassVar[int]
    MIN_RATING_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    parent: str
    page_size: int
    page_token: str
    genre: Genre
    authors: _containers.RepeatedScalarFieldContainer[str]
    published: ListBooksRequest.TimeRange
    min_rating: float
    order_by: str
    def __init__(self, parent: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., genre: _Optional[_Union[Genre, str]] = ..., authors: _Optional[_Iterable[str]] = ..., published: _Optional[_Union[ListBooksRequest.TimeRange, _Mapping]] = ..., min_rating: _Optional[float] = ..., order_by: _Optional[str] = ...) -> None: ...

class ListBooksResponse(_message.Message):
    __slots__ = ("books", "next_page_token", "total_size")
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    books: _containers.RepeatedCompositeFieldContainer[Book]
    next_page_token: str
    total_size: int
    def __init__(self, books: _Optional[_Iterable[_Union[Book, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class GetBookRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CreateBookRequest(_message.Message):
    __slots__ = ("parent", "book", "book_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    book: Book
    book_id: str
    def __init__(self, parent: _Optional[str] = ..., book: _Optional[_Union[Book, _Mapping]] = ..., book_id: _Optional[str] = ...) -> None: ...

class UpdateBookRequest(_message.Message):
    __slots__ = ("book", "update_mask")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    book: Book
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, book: _Optional[_Union[Book, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class DeleteBookRequest(_message.Message):
    __slots__ = ("name", "etag")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    name: str
    etag: str
    def __init__(self, name: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class MoveBookRequest(_message.Message):
    __slots__ = ("name", "other_shelf")
    NAME_FIELD_NUMBER: _ClassVar[int]
    OTHER_SHELF_FIELD_NUMBER: _ClassVar[int]
    name: str
    other_shelf: str
    def __init__(self, name: _Optional[str] = ..., other_shelf: _Optional[str] = ...) -> None: ...

class BatchGetBooksRequest(_message.Message):
    __slots__ = ("names",)
    NAMES_FIELD_NUMBER: _ClassVar[int]
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, names: _Optional[_Iterable[str]] = ...) -> None: ...

class BatchGetBooksResponse(_message.Message):
    __slots__ = ("books",)
    BOOKS_FIELD_NUMBER: _ClassVar[int]
    books: _containers.RepeatedCompositeFieldContainer[Book]
    def __init__(self, books: _Optional[_Iterable[_Union[Book, _Mapping]]] = ...) -> None: ...

class GetCoverRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class CheckCoverRequest(_message.Message):
    __slots__ = ("name",)
    NAME_FIELD_NUMBER: _ClassVar[int]
    name: str
    def __init__(self, name: _Optional[str] = ...) -> None: ...

class SetCoverRequest(_message.Message):
    __slots__ = ("name", "cover")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COVER_FIELD_NUMBER: _ClassVar[int]
    name: str
    cover: _httpbody_pb2.HttpBody
    def __init__(self, name: _Optional[str] = ..., cover: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...

class Cover(_message.Message):
    __slots__ = ("book", "content_type", "size_bytes", "sha256")
    BOOK_FIELD_NUMBER: _ClassVar[int]
    CONTENT_TYPE_FIELD_NUMBER: _ClassVar[int]
    SIZE_BYTES_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    book: str
    content_type: str
    size_bytes: int
    sha256: bytes
    def __init__(self, book: _Optional[str] = ..., content_type: _Optional[str] = ..., size_bytes: _Optional[int] = ..., sha256: _Optional[bytes] = ...) -> None: ...

class WatchBooksRequest(_message.Message):
    __slots__ = ("parent", "existing", "max_events")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    EXISTING_FIELD_NUMBER: _ClassVar[int]
    MAX_EVENTS_FIELD_NUMBER: _ClassVar[int]
    parent: str
    existing: bool
    max_events: int
    def __init__(self, parent: _Optional[str] = ..., existing: _Optional[bool] = ..., max_events: _Optional[int] = ...) -> None: ...

class BookEvent(_message.Message):
    __slots__ = ("kind", "book", "time")
    class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        KIND_UNSPECIFIED: _ClassVar[BookEvent.Kind]
        EXISTING: _ClassVar[BookEvent.Kind]
        CREATED: _ClassVar[BookEvent.Kind]
        UPDATED: _ClassVar[BookEvent.Kind]
        DELETED: _ClassVar[BookEvent.Kind]
    KIND_UNSPECIFIED: BookEvent.Kind
    EXISTING: BookEvent.Kind
    CREATED: BookEvent.Kind
    UPDATED: BookEvent.Kind
    DELETED: BookEvent.Kind
    KIND_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    kind: BookEvent.Kind
    book: Book
    time: _timestamp_pb2.Timestamp
    def __init__(self, kind: _Optional[_Union[BookEvent.Kind, str]] = ..., book: _Optional[_Union[Book, _Mapping]] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ImportBooksRequest(_message.Message):
    __slots__ = ("parent", "book", "book_id")
    PARENT_FIELD_NUMBER: _ClassVar[int]
    BOOK_FIELD_NUMBER: _ClassVar[int]
    BOOK_ID_FIELD_NUMBER: _ClassVar[int]
    parent: str
    book: Book
    book_id: str
    def __init__(self, parent: _Optional[str] = ..., book: _Optional[_Union[Book, _Mapping]] = ..., book_id: _Optional[str] = ...) -> None: ...

class ImportBooksResponse(_message.Message):
    __slots__ = ("book_count", "names")
    BOOK_COUNT_FIELD_NUMBER: _ClassVar[int]
    NAMES_FIELD_NUMBER: _ClassVar[int]
    book_count: int
    names: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, book_count: _Optional[int] = ..., names: _Optional[_Iterable[str]] = ...) -> None: ...

class DiscussRequest(_message.Message):
    __slots__ = ("name", "author", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    author: str
    text: str
    def __init__(self, name: _Optional[str] = ..., author: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class Remark(_message.Message):
    __slots__ = ("number", "author", "text", "time")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    AUTHOR_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    number: int
    author: str
    text: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, number: _Optional[int] = ..., author: _Optional[str] = ..., text: _Optional[str] = ..., time: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class DownloadCoverRequest(_message.Message):
    __slots__ = ("name", "piece_bytes")
    NAME_FIELD_NUMBER: _ClassVar[int]
    PIECE_BYTES_FIELD_NUMBER: _ClassVar[int]
    name: str
    piece_bytes: int
    def __init__(self, name: _Optional[str] = ..., piece_bytes: _Optional[int] = ...) -> None: ...

class UploadCoverRequest(_message.Message):
    __slots__ = ("name", "cover")
    NAME_FIELD_NUMBER: _ClassVar[int]
    COVER_FIELD_NUMBER: _ClassVar[int]
    name: str
    cover: _httpbody_pb2.HttpBody
    def __init__(self, name: _Optional[str] = ..., cover: _Optional[_Union[_httpbody_pb2.HttpBody, _Mapping]] = ...) -> None: ...
