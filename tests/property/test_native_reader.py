"""The native reader against its definition in Python, over random and broken documents.

A longer run: `python -m tests.property.test_native_reader SEED ROUNDS`.
"""

import random
import sys

import pytest

from gateway.status import StatusError
from gateway.transcoding.json.native import native_module
from gateway.transcoding.json.reading.native import NativeReaders
from gateway.transcoding.json.reading.plans import Plans
from gateway.transcoding.json.reading.reader import MessageReader
from tests.support import rich
from tests.support.random_messages import damaged, random_wire

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
    if chance.random() < 0.5:
        body = damaged(chance, body)
    found = read(body)
    if not unread:
        assert found == definition(body), body
    return not unread


@pytest.mark.skipif(native_module() is None, reason="the native codec is not built: make native")
def test_what_the_native_reader_accepts_is_read_alike() -> None:
    chance = random.Random(1)
    assert sum(check(chance) for _ in range(300)) > 10


if __name__ == "__main__":
    rounds = random.Random(int(sys.argv[1]))
    accepted = sum(check(rounds) for _ in range(int(sys.argv[2])))
    sys.stdout.write(f"{accepted} documents read alike\n")
