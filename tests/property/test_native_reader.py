"""The native reader against its definition in Python, over random and broken documents.

A longer run: `python -m tests.property.test_native_reader SEED ROUNDS`.
"""

import os
import random
import re
import sys

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.native import VARIABLE, native_module
from gateway.transcoding.json.reading.native import NativeReaders
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import MessageReader
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


def check(chance: random.Random) -> int:
    """Compares one document; returns 1 if the native reader accepted it."""
    codec = rich.codec()
    kind = codec.find(chance.choice(TYPES))
    module = native_module()
    assert kind is not None
    assert module is not None
    plan = Plans(codec.find, ()).message(kind)
    definition = MessageReader(plan, 100).read
    unread: list[bytes] = []

    def note(body: bytes) -> bytes:
        unread.append(body)
        return b""

    read = NativeReaders(module, 100).message(plan, note)
    try:
        body = codec.writer(kind)(random_wire(chance, kind, lambda name: codec.find(name) or kind))
    except StatusError:
        body = b"{}"
    change = chance.random()
    if change < 0.2:
        body = damaged(chance, body)
    elif change < 0.7:
        body = with_other_tokens(chance, body)
    found = read(body)
    if not unread:
        assert found == definition(body), body
    return not unread


def test_what_the_native_reader_accepts_is_read_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if native_module() is None:
        pytest.skip("the native codec is not built: make native")
    chance = random.Random(1)
    assert sum(check(chance) for _ in range(1000)) > 250


if __name__ == "__main__":
    os.environ.pop(VARIABLE, None)
    rounds = random.Random(int(sys.argv[1]))
    accepted = sum(check(rounds) for _ in range(int(sys.argv[2])))
    sys.stdout.write(f"{accepted} documents read alike\n")
