"""The key of a call: which parts count, and calls that have none."""

from collections.abc import Mapping
from random import Random
from typing import Any

import pytest
from google.protobuf import descriptor_pool, message_factory
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from multidict import CIMultiDict
from xxhash import xxh64_intdigest

from gateway.call import Call, Principal
from gateway.config.hashing import HashSource
from gateway.schema.catalog import Method
from gateway.upstream.call_keys import MOST_MESSAGE_BYTES, key_of
from tests.support.grpc_backend import method


def call(
    headers: Mapping[str, str] | None = None,
    *,
    principal: str = "",
    peer: str = "",
    of: Method | None = None,
    message: bytes = b"",
) -> Call:
    made = Call(of or method("Echo"), message=message, headers=headers or {}, peer=peer)
    if principal:
        made.principal = Principal(principal, credential="a key")
    return made


def key(of: Call, *sources: Mapping[str, Any], seed: int = 1) -> int:
    return key_of([HashSource.model_validate(one) for one in sources], Random(seed))(of)


def random(seed: int = 1) -> int:
    return Random(seed).getrandbits(64)


def test_the_principal_counts_by_name() -> None:
    assert key(call(principal="ann"), {"by": "principal"}) == xxh64_intdigest(b"ann")
    assert key(call(), {"by": "principal"}) == random()


def test_the_address_counts() -> None:
    assert key(call(peer="192.0.2.7"), {"by": "address"}) == xxh64_intdigest(b"192.0.2.7")


def test_a_header_counts_with_all_its_lines() -> None:
    header = {"by": "header", "name": "X-Tenant"}
    lines = CIMultiDict([("x-tenant", "a"), ("x-tenant", "b")])
    assert key(call(lines), header) == xxh64_intdigest(b"a,b")
    assert key(call(CIMultiDict({"x-tenant": ""})), header) == random()
    assert key(call(), header) == random()


def test_a_cookie_counts() -> None:
    cookie = {"by": "cookie", "name": "sid"}
    headers = CIMultiDict([("cookie", "a=1; xsid=3"), ("cookie", 'b; sid="7"; sid=8')])
    assert key(call(headers), cookie) == xxh64_intdigest(b"7")
    assert key(call(CIMultiDict({"cookie": "xsid=3"})), cookie) == random()


def test_parts_count_together_in_order() -> None:
    both = call(principal="ann", peer="192.0.2.7")
    first, second = {"by": "principal"}, {"by": "address"}
    one, two = xxh64_intdigest(b"ann"), xxh64_intdigest(b"192.0.2.7")
    turned = (one << 1 | one >> 63) & ((1 << 64) - 1)
    assert key(both, first, second) == turned ^ two
    assert key(both, second, first) != turned ^ two


def test_after_a_terminal_part_no_other_counts_if_it_is_there() -> None:
    sources = ({"by": "principal", "terminal": True}, {"by": "address"})
    assert key(call(principal="ann", peer="1.1.1.1"), *sources) == xxh64_intdigest(b"ann")
    assert key(call(peer="1.1.1.1"), *sources) == xxh64_intdigest(b"1.1.1.1")


def books() -> tuple[Method, Any]:
    """A method whose request is {shelf: string, book: {id: int64, tags: [string]}}."""
    file = FileDescriptorProto(name="books.proto", package="books", syntax="proto3")
    book = file.message_type.add(name="Book")
    book.field.add(name="id", number=3, type="TYPE_INT64", label="LABEL_OPTIONAL")
    book.field.add(name="tags", number=4, type="TYPE_STRING", label="LABEL_REPEATED")
    request = file.message_type.add(name="Request")
    request.field.add(name="shelf", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    request.field.add(
        name="book", number=2, type="TYPE_MESSAGE", type_name=".books.Book", label="LABEL_OPTIONAL"
    )
    pool = descriptor_pool.DescriptorPool()
    for one in FileDescriptorSet(file=[file]).file:
        pool.Add(one)
    kind = pool.FindMessageTypeByName("books.Request")
    plain = method("Echo")
    made = Method("books.S", "Get", kind, kind, False, False, (), plain.source)
    return made, message_factory.GetMessageClass(kind)


def test_a_field_counts_and_the_last_value_of_it() -> None:
    get, request = books()
    wire = request(shelf="a", book={"tags": ["t"], "id": 300}).SerializeToString()
    shelf, book_id = {"by": "field", "name": "shelf"}, {"by": "field", "name": "book.id"}
    assert key(call(of=get, message=wire), shelf) == xxh64_intdigest(b"a")
    assert key(call(of=get, message=wire), book_id) == xxh64_intdigest(b"\xac\x02")
    merged = wire + request(book={"id": 5}).SerializeToString()
    assert key(call(of=get, message=merged), book_id) == xxh64_intdigest(b"\x05")
    later = wire + request(book={"tags": ["u"]}).SerializeToString()
    assert key(call(of=get, message=later), book_id) == xxh64_intdigest(b"\xac\x02")


@pytest.mark.parametrize("name", ["book", "book.tags", "book.none", "shelf.x", "none"])
def test_a_field_that_is_none_gives_no_key(name: str) -> None:
    get, request = books()
    wire = request(shelf="a", book={"tags": ["t"]}).SerializeToString()
    assert key(call(of=get, message=wire), {"by": "field", "name": name}) == random()


@pytest.mark.parametrize("wire", [b"\x0a\x05a", b"\x0a", b"\x0b", b"\xff" * 20])
def test_a_message_that_breaks_off_gives_no_key(wire: bytes) -> None:
    get, _ = books()
    assert key(call(of=get, message=wire), {"by": "field", "name": "shelf"}) == random()


def test_a_large_message_is_not_searched() -> None:
    get, request = books()
    wire = request(shelf="a" * MOST_MESSAGE_BYTES).SerializeToString()
    assert key(call(of=get, message=wire), {"by": "field", "name": "shelf"}) == random()
