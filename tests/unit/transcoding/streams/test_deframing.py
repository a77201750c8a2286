"""Messages come out of a body whole and in order, however the body is cut into pieces."""

import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.status import Code, StatusError
from gateway.transcoding.streams.deframing import ArrayItems, Deframer, Delimited, Lines
from gateway.transcoding.wire import varint

Make = Callable[[int], Deframer]
LIMIT = 1000

DEEP = b'{"a":[{"b":[[{"c":"}]"}]]}]}'
BODIES = [
    pytest.param(Lines, b"", [], id="no lines"),
    pytest.param(Lines, b"\n \r\n\t\n", [], id="blank lines"),
    pytest.param(Lines, b'{"n":1}\n{"n":2}\n', [b'{"n":1}', b'{"n":2}'], id="lines"),
    pytest.param(Lines, b'{"n":1}\r\n{"n":2}', [b'{"n":1}\r', b'{"n":2}'], id="no last line feed"),
    pytest.param(ArrayItems, b"", [], id="nothing"),
    pytest.param(ArrayItems, b" \n[ ]\t", [], id="empty array"),
    pytest.param(ArrayItems, b'[{"n":1},{"n":2}]', [b'{"n":1}', b'{"n":2}'], id="array"),
    pytest.param(
        ArrayItems, b' [ {"n":1} , {"n":2} ] ', [b'{"n":1}', b'{"n":2}'], id="spaced array"
    ),
    pytest.param(
        ArrayItems,
        rb'["a,]\"[\\","\\\\",{"b\"}":"{["}]',
        [rb'"a,]\"[\\"', rb'"\\\\"', rb'{"b\"}":"{["}'],
        id="signs in strings",
    ),
    pytest.param(
        ArrayItems, b"[1,-2.5e3 ,true,null]", [b"1", b"-2.5e3", b"true", b"null"], id="scalars"
    ),
    pytest.param(ArrayItems, b"[[1,[2]],[]]", [b"[1,[2]]", b"[]"], id="arrays in the array"),
    pytest.param(ArrayItems, b"[" + DEEP + b"," + DEEP + b"]", [DEEP, DEEP], id="deep"),
    pytest.param(ArrayItems, b' {"n":1}\n', [b'{"n":1}\n'], id="one object alone"),
    pytest.param(ArrayItems, b'"a"', [b'"a"'], id="one string alone"),
    pytest.param(Delimited, b"", [], id="no messages"),
    pytest.param(Delimited, b"\x00\x02ab\x00", [b"", b"ab", b""], id="empty messages"),
    pytest.param(
        Delimited, varint(300) + b"x" * 300 + b"\x01y", [b"x" * 300, b"y"], id="long length"
    ),
]


def all_of(deframer: Deframer, *pieces: bytes) -> list[bytes]:
    found = [message for piece in pieces for message in deframer.feed(piece)]
    return found + list(deframer.finish())


@pytest.mark.parametrize(("make", "body", "messages"), BODIES)
def test_messages_do_not_depend_on_the_pieces(
    make: Make, body: bytes, messages: list[bytes]
) -> None:
    stripped = [message.strip() for message in messages]
    for cut in range(len(body) + 1):
        found = all_of(make(LIMIT), body[:cut], body[cut:])
        assert [message.strip() for message in found] == stripped
    single = all_of(make(LIMIT), *(body[at : at + 1] for at in range(len(body))))
    assert [message.strip() for message in single] == stripped


@pytest.mark.parametrize(
    ("make", "pieces"),
    [
        pytest.param(Lines, [b'{"n":1}\n', b'{"n":2}\n'], id="lines"),
        pytest.param(ArrayItems, [b'[{"n":1}', b',{"n":2}'], id="array"),
        pytest.param(ArrayItems, [b'["a"', b',"b"'], id="strings"),
        pytest.param(Delimited, [b"\x01a", b"\x01b"], id="delimited"),
    ],
)
def test_a_message_is_handed_on_as_soon_as_it_is_complete(make: Make, pieces: list[bytes]) -> None:
    deframer = make(LIMIT)
    assert [len(list(deframer.feed(piece))) for piece in pieces] == [1, 1]
    assert not deframer.is_midway


@pytest.mark.parametrize(
    ("make", "begun"),
    [
        pytest.param(Lines, b'{"n"', id="line"),
        pytest.param(ArrayItems, b'[{"n"', id="element"),
        pytest.param(ArrayItems, b"[12", id="number"),
        pytest.param(ArrayItems, b"{", id="single"),
        pytest.param(Delimited, b"\x03a", id="message"),
        pytest.param(Delimited, b"\x80", id="length"),
    ],
)
def test_a_message_that_has_begun_is_owed(make: Make, begun: bytes) -> None:
    deframer = make(LIMIT)
    assert not deframer.is_midway
    assert list(deframer.feed(begun)) == []
    assert deframer.is_midway


@pytest.mark.parametrize(
    ("make", "body", "said"),
    [
        pytest.param(ArrayItems, b'[{"n":1}', "without its end", id="no end"),
        pytest.param(ArrayItems, b"[", "without its end", id="nothing but a beginning"),
        pytest.param(
            ArrayItems, b"[1,]", "expected an element of the array, got ]", id="comma last"
        ),
        pytest.param(
            ArrayItems, b"[,1]", "expected an element of the array, got ,", id="comma first"
        ),
        pytest.param(ArrayItems, b"[{} {}]", "expected a comma or ]", id="no comma"),
        pytest.param(
            ArrayItems, b"[}]", "expected an element of the array, got }", id="closing first"
        ),
        pytest.param(ArrayItems, b"[1] 2", "nothing after the end", id="more after the end"),
        pytest.param(ArrayItems, b"[" * 102, "nested deeper than 100", id="too deep"),
        pytest.param(ArrayItems, b"[1][2]", "nothing after the end", id="two arrays"),
        pytest.param(Delimited, b"\x02a", "ends within a message", id="cut message"),
        pytest.param(Delimited, b"\x80", "ends within a message", id="cut length"),
        pytest.param(Delimited, b"\xff" * 10, "expected the length", id="endless length"),
    ],
)
def test_a_body_that_is_not_what_it_says_is_refused(make: Make, body: bytes, said: str) -> None:
    for pieces in ([body], [body[at : at + 1] for at in range(len(body))]):
        with pytest.raises(StatusError) as raised:
            all_of(make(LIMIT), *pieces)
        assert raised.value.code is Code.INVALID_ARGUMENT
        assert said in raised.value.message


@pytest.mark.parametrize(
    ("make", "within", "over"),
    [
        pytest.param(Lines, b"x" * 20 + b"\n", b"x" * 21 + b"\n", id="line"),
        pytest.param(
            ArrayItems, b'["' + b"x" * 18 + b'",1]', b'["' + b"x" * 19 + b'",1]', id="string"
        ),
        pytest.param(
            ArrayItems, b"[" + b"[" * 10 + b"]" * 10 + b",1]", b"[" + b"[" * 21, id="brackets"
        ),
        pytest.param(ArrayItems, b"[" + b"1" * 20 + b",1]", b"[" + b"1" * 21, id="number"),
        pytest.param(ArrayItems, b"{" + b" " * 19, b"{" + b" " * 20, id="single"),
        pytest.param(Delimited, b"\x14" + b"x" * 20, b"\x15", id="message"),
    ],
)
def test_a_message_over_the_limit_is_413(make: Make, within: bytes, over: bytes) -> None:
    assert all_of(make(20), within)
    for pieces in ([over], [over[at : at + 1] for at in range(len(over))]):
        with pytest.raises(StatusError) as raised:
            all_of(make(20), *pieces)
        assert raised.value.http_status == 413


def test_white_space_between_elements_is_no_part_of_a_message() -> None:
    deframer = ArrayItems(20)
    found = [
        m
        for piece in (b"[1," + b" " * 100, b" " * 100, b"2", b" " * 100 + b"]")
        for m in deframer.feed(piece)
    ]
    assert found == [b"1", b"2"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b'["' + b'\\"' * 300_000 + b'"]', id="escapes"),
        pytest.param(b'[{"' + b"x" * 600_000 + b'":1}]', id="long name"),
        pytest.param(b"[[" + b"[[[[[]]]]]," * 30_000 + b"[]]]", id="brackets"),
        pytest.param(b'[{"a":' + b'"b",' * 150_000 + b"1}]", id="strings"),
    ],
)
def test_a_hostile_element_costs_time_in_proportion(body: bytes) -> None:
    # A second look at what has come at every piece would take minutes here.
    deframer = ArrayItems(1 << 20)
    found = [m for at in range(0, len(body), 64) for m in deframer.feed(body[at : at + 64])]
    assert found == [body[1:-1]]


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(
    st.lists(VALUES, max_size=6),
    st.lists(st.integers(1, 30), min_size=1),
    st.booleans(),
    st.integers(0, 3),
)
def test_every_array_comes_apart_into_its_elements(
    elements: list[object], sizes: list[int], ascii_only: bool, indent: int
) -> None:
    body = json.dumps(elements, ensure_ascii=ascii_only, indent=indent or None).encode()
    deframer, at, turn = ArrayItems(1 << 20), 0, 0
    found: list[bytes] = []
    while at < len(body):
        size = sizes[turn % len(sizes)]
        found += deframer.feed(body[at : at + size])
        at, turn = at + size, turn + 1
    found += deframer.finish()
    assert [json.loads(element) for element in found] == elements
