"""The native reader against its definition in Python, over random and broken documents.

A longer run: `python -m tests.property.test_native_reader SEED ROUNDS`.
"""

import json
import os
import random
import re
import sys
from collections.abc import Callable
from functools import cache
from itertools import product

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.native import VARIABLE, native_module
from gateway.transcoding.json.reading.native import NativeReaders
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import FieldReader, MessageReader
from tests.support import rich
from tests.support.random_messages import damaged, random_wire

# A string, a number, or a word; and what may stand in its place in a document that is wrong, or in
# one that is right in an unusual way.
TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*"|-?[0-9][0-9.eE+-]*|true|false|null')
TOKENS = (
    *(
        b"null",
        b"true",
        b"false",
        b"0",
        b"-0",
        b"-1",
        b"01",
        b"1.0",
        b"1e3",
        b"1.5",
        b"1e400",
        b"-",
    ),
    *(b"9007199254740993", b"2147483648", b"4294967296", b"18446744073709551616", b"1e-400", b"+1"),
    *(b"NaN", b"Infinity", b'"NaN"', b'"-Infinity"', b'"inf"', b'"1"', b'"-1"', b'" 1"', b'"1.0"'),
    *(
        b'""',
        b'"a"',
        b'"\\u0000"',
        b'"\\ud800"',
        b'"\\ud83d\\ude00"',
        b'"\\x"',
        b'"\x01"',
        b'"\xff"',
    ),
    *(
        b'"AQ=="',
        b'"AQ"',
        b'"A_-="',
        b'"AQ=A"',
        b'"A"',
        b"[]",
        b"{}",
        b"[null]",
        b"[1]",
        b'{"a":1}',
    ),
    *(b'"2024-02-29T23:59:59Z"', b'"2023-02-29T00:00:00Z"', b'"2024-01-01T00:00:00.1234567890Z"'),
    *(
        b'"2024-01-01T00:00:00+01:00"',
        b'"0000-01-01T00:00:00Z"',
        b'"9999-12-31T23:59:59.999999999Z"',
    ),
    *(b'"1.5s"', b'"-1.5s"', b'"-0s"', b'"1.0000000001s"', b'"315576000001s"', b'".5s"', b'"1s "'),
    *(b'"a,bC.d1"', b'"a_b"', b'"*"', b'"a."', b'"a,"', b'"A.*"', b'"`a`"', b'"1a"'),
    *(b'"@type"', b'"value"', b'"x/rich.Plain"', b'"/google.protobuf.Duration"', b'"rich.Plain"'),
    *(
        b'{"@type":"x/rich.Plain","name":"a","count":1}',
        b'{"name":"a","@type":"x/rich.Plain"}',
        b'{"@type":"x/rich.Plain","@type":"x/rich.Plain"}',
        b'{"value":"1s","@type":"x/google.protobuf.Duration"}',
        b'{"@type":"x/google.protobuf.Value","value":[1,{"a":null}]}',
        b'{"@type":"x/google.protobuf.Any","value":{"@type":"x/rich.Holder","only":0}}',
        b'{"@type":"x/google.protobuf.Int32Value","value":0}',
        b'{"a":1,"a":2}',
        b'{"a":{"b":[-0,1e309]},"c":[true,false,null,"d"]}',
    ),
)


def with_other_tokens(chance: random.Random, body: bytes) -> bytes:
    """A document with up to three of its tokens replaced, by those above or by each other."""
    for _ in range(chance.randint(1, 3)):
        found = [*TOKEN.finditer(body)]
        if not found:
            return chance.choice(TOKENS)
        place, other = chance.choice(found), chance.choice(found)
        token = other[0] if chance.random() < 0.3 else chance.choice(TOKENS)
        body = body[: place.start()] + token + body[place.end() :]
    return body


TYPES = ["rich.Book", "rich.Author", "rich.Plain", "old.Job", "modern.Node", "other.Task"]
IGNORED: list[tuple[str, ...] | None] = [(), (), ("name", "i32", "a", "@type"), None]
Read = Callable[[bytes], bytes]


@cache
def readers(part: str, ignored: tuple[str, ...] | None) -> tuple[Read, Read]:
    """Both readers of a type or a field: the definition, and the native one or b"unread"."""
    codec = rich.codec()
    module = native_module()
    assert module is not None
    plans = Plans(codec.find, ignored)
    native = NativeReaders(module, 100)
    kind = codec.find(part)
    if kind is not None:
        plan = plans.message(kind)
        return MessageReader(plan, 100).read, native.reader(plan, unread)
    member = plans.member(rich.pool().FindFieldByName(part))
    return FieldReader(member, 100).read, native.reader(member, unread)


def unread(_: bytes) -> bytes:
    """What is returned in place of the definition's answer."""
    return b"unread"


def shuffled(chance: random.Random, tree: object) -> object:
    """A parsed document with the members of its objects in another order."""
    if isinstance(tree, list):
        return [shuffled(chance, item) for item in tree]
    if not isinstance(tree, dict):
        return tree
    pairs = [(name, shuffled(chance, item)) for name, item in tree.items()]
    chance.shuffle(pairs)
    return dict(pairs)


def one_member(chance: random.Random, kind: str, body: bytes) -> tuple[str, bytes]:
    """A field of a type, and its value in a document: what a body of one field can be."""
    message = rich.message(kind)
    members = json.loads(body)
    names = [name for name in members if name in message.fields_by_camelcase_name]
    if not names:
        field = chance.choice(message.fields) if message.fields else None
        return (field.full_name, b"null") if field else (kind, b"{}")
    name = chance.choice(names)
    value = json.dumps(members[name], ensure_ascii=False).encode()
    return message.fields_by_camelcase_name[name].full_name, value


def random_document(chance: random.Random) -> tuple[str, bytes]:
    """A type or a field, and a document for it, of which many are wrong."""
    codec = rich.codec()
    part = chance.choice(TYPES)
    kind = rich.message(part)
    try:
        body = codec.writer(kind)(random_wire(chance, kind, lambda name: codec.find(name) or kind))
    except StatusError:
        body = b"{}"
    if chance.random() < 0.2:
        body = json.dumps(shuffled(chance, json.loads(body)), ensure_ascii=False).encode()
    if chance.random() < 0.3:
        part, body = one_member(chance, part, body)
    change = chance.random()
    if change < 0.2:
        body = damaged(chance, body)
    elif change < 0.7:
        body = with_other_tokens(chance, body)
    return part, body


def check(chance: random.Random) -> int:
    """Compares one document; returns 1 if the native reader accepted it."""
    part, body = random_document(chance)
    definition, native = readers(part, chance.choice(IGNORED))
    found = native(body)
    if found == b"unread":
        return 0
    assert found == definition(body), (part, body)
    return 1


@pytest.fixture
def native_codec(monkeypatch: pytest.MonkeyPatch) -> None:
    """The native codec, whatever codec is asked for; the test is skipped without it."""
    monkeypatch.delenv(VARIABLE, raising=False)
    if native_module() is None:
        pytest.skip("the native codec is not built: make native")


@pytest.mark.usefixtures("native_codec")
def test_what_the_native_reader_accepts_is_read_alike() -> None:
    chance = random.Random(1)
    assert sum(check(chance) for _ in range(1000)) > 350


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize("count", [1, 7, 8, 9, 24, 25, 1000, 70_000])
@pytest.mark.parametrize(
    ("part", "key"),
    [
        ("rich.Book.labels", str),
        ("rich.Book.by_id", lambda number: str(number * 127)),
        ("rich.Book.extra", lambda number: f"{number:0130}"),
    ],
)
def test_a_key_given_twice_is_found_among_many(
    part: str, key: Callable[[int], str], count: int
) -> None:
    definition, native = readers(part, ())
    entries = [f'"{key(number)}":"{"v" * (number % 200)}"' for number in range(count)]
    body = f"{{{','.join(entries)}}}".encode()
    assert native(body) == definition(body)
    chance = random.Random(count)
    for _ in range(3):
        again = [*entries]
        again.insert(chance.randint(0, count), chance.choice(entries))
        assert native(f"{{{','.join(again)}}}".encode()) == b"unread"


RIGHT = [
    ("rich.Book.mask", b'"a,bC.d1,Title"'),
    ("rich.Book.extra", b'{"a":[null,true,false,"b",-0,1e3,123456789012345678901234567890,{}]}'),
    ("rich.Book.value", b"null"),
    ("rich.Book.list", b"[[],[1]]"),
    ("rich.Book.null", b'"NULL_VALUE"'),
    ("rich.Book.null", b"null"),
    ("rich.Book.w_wide", b'"9223372036854775807"'),
    ("rich.Book.w_wide", b"null"),
    ("rich.Book.any", b'{"@type":"x/rich.Plain","tags":["a"]}'),
    ("rich.Book.any", b'{"tags":["a"],"x":[{"y":1}],"@type":"x/rich.Plain"}'),
    ("rich.Book.any", b'{"value":"1.5s","@type":"x/google.protobuf.Duration"}'),
    ("rich.Book.any", b'{"@type":"x/google.protobuf.Empty"}'),
    ("rich.Book.any", b"{}"),
    ("rich.Book.i32", b"7"),
    ("rich.Book.parts", b'{"a":{"extra":{"b":1}}}'),
    ("rich.Book", b'{"any":{"@type":"x/rich.Book","wInt":0,"masks":["a",""]},"values":[null]}'),
]


# The first and the last characters of each size, and bytes that are none (RFC 3629, section 4).
CHARACTERS = (
    *("\x7f", "\x80", "\u07ff", "\u0800", "\ud7ff", "\ue000", "\uffff", "\U00010000"),
    "\U0010ffff",
)
NO_CHARACTERS = (
    *(b"\x80", b"\xc1\xbf", b"\xe0\x9f\xbf", b"\xed\xa0\x80", b"\xf0\x8f\xbf\xbf"),
    *(b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98"),
    *(b"\xc3\xc3", b"\xe2\x82\xc3", b"\xf0\x9f\x98\xc3", b"\x1f", b"\x00", b"\\x", b"\\ud800"),
)


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize("part", ["rich.Book.title", "rich.Book.value", "rich.Book.labels"])
def test_only_characters_are_read_wherever_they_stand_in_a_text(part: str) -> None:
    definition, native = readers(part, ())
    form = b'{"a":"%b","%b":""}' if part == "rich.Book.labels" else b'"%b"'

    def body(text: bytes) -> bytes:
        return form % ((text,) * form.count(b"%b"))

    for before, behind in product((0, 1, 6, 7, 8, 9, 33), (0, 3, 40)):
        for each in (*(one.encode() for one in CHARACTERS), b"\\n", b"\\u20ac", b"\\ud83d\\ude00"):
            right = body(b"a" * before + each * 2 + b"b" * behind)
            assert native(right) == definition(right)
        for each in NO_CHARACTERS:
            assert native(body(b"a" * before + each + b"b" * behind)) == b"unread", each


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize(
    ("part", "most"),
    [
        ("rich.Book.i32", 1 << 31),
        ("rich.Book.u32", 1 << 32),
        ("rich.Book.i64", 1 << 63),
        ("rich.Book.u64", 1 << 64),
    ],
)
def test_integers_are_read_up_to_their_limits(part: str, most: int) -> None:
    definition, native = readers(part, ())
    low = 0 if "u" in part.rpartition(".")[2] else -most
    numbers = (low - 1, low, low + 1, -1, 1, 10**9, 10**18, 10**19, 10**20, most - 1, most)
    # A number at the end of the text is not read as most are.
    for number, form in product(numbers, (b"%d", b"%d ", b'"%d"')):
        spelled = form % number
        wanted = definition(spelled) if low <= number < most else b"unread"
        assert native(spelled) == wanted, spelled
    for spelled in (b"01", b"-0", b"-01", b'"1', b"1.", b"1e1", b'"1e1"', b'"1" 1', b"-", b'"-"'):
        assert native(spelled) == b"unread", spelled


@pytest.mark.usefixtures("native_codec")
def test_floats_are_the_nearest_ones_whatever_their_digits() -> None:
    definition, native = readers("rich.Book.ratio", ())
    chance = random.Random(1)
    for digits, decimals in product(range(1, 19), range(19)):
        number = chance.choice("123456789") + "".join(chance.choices("0123456789", k=digits - 1))
        whole = chance.choice(("-0", "0", number, f"-{number}"))
        text = f"{whole}.{number[:decimals]}" if decimals else whole
        for spelled in (text, f"{text}e-7", f'"{text}"'):
            assert native(spelled.encode()) == definition(spelled.encode()), spelled


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize("spelled", [b"", b"+/8=", b"+/8", b"-_8=", b"-_8", b"AQID", b"AQIDBA=="])
def test_bytes_are_of_one_alphabet(spelled: bytes) -> None:
    definition, native = readers("rich.Book.data", ())
    assert native(b'"%b"' % spelled) == definition(b'"%b"' % spelled)
    for wrong in (b"+_8=", b"A=", b"A===", b"A*==", b"AQI\xc3\xa4"):
        assert native(b'"AQID%b"' % wrong) == b"unread"


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize(
    ("part", "body"),
    [
        ("rich.Book", b'{"title" :"a","ratio"\n:\t0.5 , "tags" : [ ] }'),
        ("rich.Book", b'{"\\u0074itle":"a"}'),
        ("rich.Book", b'{"title":"a","title":"b"}'),
        ("rich.Book", b'{"title":"a","ratio":1,"title":"b"}'),
        ("rich.Book", b'{"titles":"a"}'),
        ("rich.Book", b'{"title":"a"'),
        ("rich.Book", b'{"title"'),
        ("rich.Book", b'{"title":'),
        ("rich.Book", b'{"title":"a",}'),
        ("rich.Book", b'{"title":"a" "ratio":1}'),
        ("rich.Book", b'{,"title":"a"}'),
        ("old.Job", b'{"id":1,"byName":{},"[old.priority]":1,"[old.Scope.note]":"a"}'),
        ("old.Job", b'{"id":1,"byName":{},"[old.priority]";1}'),
        ("old.Job", b'{"id":1,"byName":{},"[old.Scope.note}":"a"}'),
    ],
)
def test_names_are_read_however_they_are_spelled(part: str, body: bytes) -> None:
    definition, native = readers(part, ())
    try:
        wanted = definition(body)
    except StatusError:
        wanted = b"unread"
    assert native(body) == wanted


@pytest.mark.usefixtures("native_codec")
@pytest.mark.parametrize(("part", "body"), RIGHT)
def test_each_form_is_read_natively(part: str, body: bytes) -> None:
    definition, native = readers(part, ("x",))
    assert native(body) == definition(body)


if __name__ == "__main__":
    os.environ.pop(VARIABLE, None)
    rounds = random.Random(int(sys.argv[1]))
    accepted = sum(check(rounds) for _ in range(int(sys.argv[2])))
    sys.stdout.write(f"{accepted} documents read alike\n")
