"""What we write is what protobuf reads, and what protobuf writes can be looked up."""

import time
from collections.abc import Callable

import pytest
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given
from hypothesis import strategies as st

from gateway.status import Code
from gateway.transcoding.wire import (
    END_GROUP,
    GROUP,
    LENGTH,
    VARINT,
    MalformedError,
    fields,
    last_value,
    length_delimited,
    merged,
    signed_varint,
    tag,
    varint,
    zigzag,
)
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        wire="""
edition = "2023";
package wire;
message M {
  int64 i = 1; sint64 z = 2; fixed32 f32 = 3; fixed64 f64 = 4; string s = 5; M m = 6;
  M g = 7 [features.message_encoding = DELIMITED]; uint64 u = 500;
}
"""
    )
)
M = GetMessageClass(POOL.FindMessageTypeByName("wire.M"))


@pytest.mark.parametrize(
    ("wire", "message"),
    [
        pytest.param(tag(1, VARINT) + signed_varint(-1), {"i": -1}, id="minus one"),
        pytest.param(tag(1, VARINT) + signed_varint(-(1 << 63)), {"i": -(1 << 63)}, id="least"),
        pytest.param(tag(1, VARINT) + varint(127), {"i": 127}, id="one byte"),
        pytest.param(tag(1, VARINT) + varint(128), {"i": 128}, id="two bytes"),
        pytest.param(tag(2, VARINT) + zigzag(-(1 << 63)), {"z": -(1 << 63)}, id="zigzag least"),
        pytest.param(tag(2, VARINT) + zigzag((1 << 63) - 1), {"z": (1 << 63) - 1}, id="zigzag max"),
        pytest.param(tag(500, VARINT) + varint((1 << 64) - 1), {"u": (1 << 64) - 1}, id="u max"),
        pytest.param(length_delimited(5, b"x" * 300), {"s": "x" * 300}, id="long string"),
    ],
)
def test_protobuf_reads_what_we_write(wire: bytes, message: dict[str, object]) -> None:
    assert M.FromString(wire) == M(**message)


@pytest.mark.parametrize(
    ("message", "path", "value"),
    [
        pytest.param(M(i=300), (1,), varint(300), id="varint"),
        pytest.param(M(f32=1), (3,), b"\1\0\0\0", id="fixed32"),
        pytest.param(M(f64=1), (4,), b"\1" + b"\0" * 7, id="fixed64"),
        pytest.param(M(s="abc"), (5,), b"abc", id="string without its length"),
        pytest.param(M(u=7), (500,), b"\7", id="two-byte tag"),
        pytest.param(M(m=M(m=M(s="x"))), (6, 6, 5), b"x", id="nested"),
        pytest.param(M(g=M(g=M(s="x"), i=1)), (7, 7, 5), b"x", id="nested groups"),
        pytest.param(M(i=1, g=M(f32=2, f64=3, s="x", m=M(i=4)), u=9), (500,), b"\x09", id="behind"),
        pytest.param(M(m=M()), (6,), b"", id="empty message"),
        pytest.param(M(m=M()), (6, 5), None, id="not set in an empty message"),
        pytest.param(M(i=1), (5,), None, id="not set"),
        pytest.param(M(s="x"), (6, 5), None, id="set elsewhere"),
    ],
)
def test_a_value_is_found_by_its_path(
    message: Message, path: tuple[int, ...], value: bytes | None
) -> None:
    assert last_value(message.SerializeToString(), path) == value


def test_the_last_of_several_values_counts_across_pieces_of_a_message() -> None:
    pieces = [M(m=M(s="a", i=1)), M(m=M(s="b")), M(m=M(u=2))]
    wire = b"".join(piece.SerializeToString() for piece in pieces)
    assert last_value(wire, (6, 5)) == b"b"
    assert M.FromString(wire) == M(m=M(s="b", i=1, u=2))


def test_fields_come_in_the_order_of_the_wire() -> None:
    wire = length_delimited(5, b"x") + tag(7, GROUP) + length_delimited(5, b"y") + b"\x3c\x08\x01"
    assert tag(7, END_GROUP) == b"\x3c"
    assert list(fields(wire)) == [(5, b"x"), (7, length_delimited(5, b"y")), (1, b"\1")]
    assert length_delimited(5, b"x")[:1] == tag(5, LENGTH)


MALFORMED = [
    pytest.param(b"\xff" * 400_000, id="a number without end"),
    pytest.param(b"\x08" + b"\xff" * 10 + b"\x01", id="a number of eleven bytes"),
    pytest.param(b"\x08\xff", id="a number that breaks off"),
    pytest.param(b"\x08", id="a tag alone"),
    pytest.param(b"\x2a\x7fabc", id="a length beyond the end"),
    pytest.param(b"\x2a\xff\xff\xff\xff\xff\xff\xff\xff\x7fabc", id="a length beyond any memory"),
    pytest.param(b"\x00\x01", id="field number 0"),
    pytest.param(varint((1 << 29) << 3) + b"\x01", id="a field number over the limit"),
    pytest.param(b"\x1d\x01\x02", id="four bytes that are two"),
    pytest.param(b"\x21\x01\x02", id="eight bytes that are two"),
    pytest.param(b"\x0e", id="wire type 6"),
    pytest.param(b"\x0f", id="wire type 7"),
    pytest.param(b"\x3c", id="the end of a group that has not begun"),
    pytest.param(b"\x3b\x44", id="the end of another group"),
    pytest.param(b"\x3b\x08\x01", id="a group without end"),
    pytest.param(b"\x3b\x2a\x7f\x3c", id="a length beyond the end of a group"),
    pytest.param(b"\x3b\x00\x00\x3c", id="field number 0 in a group"),
    pytest.param(b"\x3b" * 300_000, id="groups nested too deep"),
]


@pytest.mark.parametrize("wire", MALFORMED)
@pytest.mark.parametrize(
    "read",
    [
        pytest.param(lambda wire: list(fields(wire)), id="fields"),
        pytest.param(lambda wire: last_value(wire, (5,)), id="last_value"),
        pytest.param(lambda wire: last_value(length_delimited(6, wire), (6, 5)), id="nested"),
        pytest.param(lambda wire: merged(wire, 6), id="merged"),
    ],
)
def test_bytes_that_are_no_message_are_told_at_once(
    wire: bytes, read: Callable[[bytes], object]
) -> None:
    with pytest.raises(DecodeError):
        M.FromString(wire)
    started_s = time.perf_counter()
    with pytest.raises(MalformedError) as malformed:
        read(wire)
    assert time.perf_counter() - started_s < 1
    assert malformed.value.code is Code.INTERNAL


@given(st.binary(max_size=40) | st.lists(st.sampled_from([*range(16), 255])).map(bytes))
def test_what_protobuf_reads_is_read(wire: bytes) -> None:
    try:
        M.FromString(wire)
    except DecodeError:
        return
    assert all(1 <= number < 1 << 29 for number, _ in fields(wire))


def test_a_value_of_another_wire_type_is_no_message() -> None:
    wire = tag(6, VARINT) + b"\x01" + length_delimited(6, length_delimited(5, b"x"))
    assert merged(wire, 6) == length_delimited(5, b"x")
    assert last_value(wire, (6, 5)) == b"x"
