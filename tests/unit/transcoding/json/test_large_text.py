"""A large text is read piece by piece, with the same result and the same words as a small one."""

import random
import time

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.large_text import LargeArray, LargeObject, LargeText
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import FieldReader, MessageReader
from tests.property.test_native_reader import IGNORED, random_document
from tests.support import rich

WINDOWS = [16, 20, 33, 64, 200]


def outcome(part: str, body: bytes, ignored: tuple[str, ...] | None, window: int) -> object:
    """The wire bytes, or the error with its details."""
    codec = rich.codec()
    plans = Plans(codec.find, ignored)
    kind = codec.find(part)
    try:
        if kind is not None:
            return MessageReader(plans.message(kind), 100, window).read(body)
        member = plans.member(rich.pool().FindFieldByName(part))
        return FieldReader(member, 100, window).read(body)
    except StatusError as error:
        return error.message, [detail.SerializeToString() for detail in error.details]


def check(part: str, body: bytes, window: int = 16, ignored: tuple[str, ...] | None = ()) -> object:
    """Compares the results with a small window and with one that takes the whole body."""
    whole = outcome(part, body, ignored, len(body))
    assert outcome(part, body, ignored, window) == whole
    return whole


def test_random_documents_right_and_wrong_have_the_same_result() -> None:
    chance = random.Random(1)
    read = 0
    for _ in range(1000):
        part, body = random_document(chance)
        if chance.random() < 0.3:
            body = b" \n" + body.replace(b",", b" ,\n\t ")
        found = check(part, body, chance.choice(WINDOWS), chance.choice(IGNORED))
        read += isinstance(found, bytes)
    assert read > 300


NESTED = b'{"value":[%b,%b],"@type":"x/google.protobuf.ListValue"}'
LONG = b'"' + b"x" * 100 + b'"'


@pytest.mark.parametrize(
    "tail",
    [
        *(b"", b" ", b"]", b"}", b"]]", b"]}]", b",]}", b", ]}", b",}", b"]},", b"]} x", b" 1]}"),
        *(b",,", b":1]}", b',"', b',"\\q"]}', b',"\x01"]}', b',"\xff"]}', b',"\xd0', b",tru]}"),
        *(b",truex]}", b",NaN]}", b",-Infinity]}", b",01]}", b",1.]}", b",1e]}", b",-]}", b",.5]}"),
        *(b',"\\ud800"]}', b',"\\ud800"', b',"\\ud83d\\ude00"]}', b',"a"]} \n "b"', b",\n\n \x0b"),
        *(b'],"tags":[]}', b'],"tags"}', b'],"tags":}', b'],"tags" 1}', b"],tags:1}", b"],}"),
        *(b"], }", b'],"no":[[[1]]]}', b'],"no":1,,}', b'],"author":[{"name":1}]}', b'],"i32":{'),
        *(b',"' + b"y" * 100, b"," + b"1" * 5000 + b"]}", b'],"i64":' + b"1" * 500 + b"}"),
        *(
            b'],"ratio":-0}',
            b'],"ratio":1.' + b"0" * 100 + b"}",
            b'],"ratio":1' + b"0" * 310 + b"}",
        ),
    ],
)
@pytest.mark.parametrize("window", WINDOWS)
def test_faults_have_the_same_words_and_place(tail: bytes, window: int) -> None:
    start = b'{"title":"\xd0\x96\n",\n "tags":[' + LONG
    for body in (start.replace(b"\n", b""), start, start.replace(b"\xd0\x96", b"")):
        check("rich.Book", body + tail, window)
        check("rich.Book", body + tail, window, None)


@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("rich.Book.labels", b'{"a":%b,"b":%b,"a":""}'),
        ("rich.Book.labels", b'{"a":%b,"b":1,"c":%b}'),
        ("rich.Book.by_id", b'{"1":%b,"2":%b,"1":"a"}'),
        ("rich.Book.extra", b'{"a":[%b,{"b":%b}],"c":{"a":1,"a":2}}'),
        ("rich.Book.any", b'{"name":%b,"tags":[%b],"@type":"x/rich.Plain"}'),
        ("rich.Book.any", b'{"@type":"x/rich.Plain","name":%b,"tags":[%b],"@type":"x/rich.Plain"}'),
        ("rich.Book.any", b'{"name":%b,"tags":[%b]}'),
        ("rich.Book.any", b'{"value":[%b,[%b]],"@type":"x/google.protobuf.ListValue"}'),
        ("rich.Book.any", b'{"value":' + NESTED + b',"@type":"x/google.protobuf.Any"}'),
        ("rich.Book", b'{"url":%b,"shelf":1,"photo":%b,"paint":1}'),
        ("rich.Book", b'{"author":{"name":%b,"mentor":[]},"coAuthors":{"a":%b}}'),
        ("rich.Book.pages", b'[1,2.5,"3",%b,{},[%b]]'),
    ],
)
@pytest.mark.parametrize("window", WINDOWS)
def test_each_kind_of_value_has_the_same_result(part: str, body: bytes, window: int) -> None:
    check(part, body % (LONG, LONG), window)
    check(part, body % (LONG, b'"a"'), window)


def test_a_number_that_the_window_cuts_is_read_whole() -> None:
    for size in range(20):
        for number in (b"12.5", b"1e+22", b"-0", b"-0.5e-3"):
            body = b'{"title":"%b","weights":[%b,1,%b]}' % (b"x" * (60 + size), number, number)
            assert isinstance(check("rich.Book", body), bytes)


def test_a_key_given_twice_is_found_among_many() -> None:
    chance = random.Random(2)
    for part in ("rich.Book.labels", "rich.Book.extra"):
        entries = [f'"{number}":"a"' for number in range(5000)]
        assert isinstance(check(part, f"{{{','.join(entries)}}}".encode()), bytes)
        for _ in range(3):
            again = [*entries]
            for _ in range(chance.randint(1, 25)):
                again.insert(chance.randint(0, 5000), chance.choice(entries))
            again[chance.randint(0, 5000)] = '"x":"\\ud83d\\ude00"'
            found = check(part, f"{{{','.join(again)}}}".encode())
            assert "set twice" in str(found)


def test_nodes_can_be_kept_and_read_in_any_order() -> None:
    text = LargeText(b'{"a":[1,%b],"b":{"c":[%b,2],"d":{}},"e":3}' % (LONG, LONG), 16)
    root = text.root()
    assert isinstance(root, LargeObject)
    members = dict(root)
    first, second = members["a"], members["b"]
    assert isinstance(first, LargeArray)
    assert isinstance(second, LargeObject)
    assert [key for key, _ in second] == ["c", "d"]
    assert list(first) == [1, "x" * 100]
    assert [key for key, _ in root.without("b")] == ["a", "e"]
    text.finish(root)


def test_spines_of_large_objects_take_time_in_step_with_the_size(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Each of a hundred levels is larger than the window: none is parsed in vain at every level."""
    windows: list[float] = []
    monkeypatch.setattr(time, "sleep", windows.append)  # each window lets other threads run
    spine = b"[" * 90 + b",".join([b"1"] * 1000) + b"]" * 90
    body = b"[" + b",".join([spine] * 50) + b"]"
    LargeText(body, 1024).check()
    assert len(body) < 1024 * len(windows) < 10 * len(body)
