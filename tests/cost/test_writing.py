"""The cost of writing JSON: time in step with the size of a message, and memory a few times it.

Sizes differ eightfold, and time may then differ by half of what a square would make of that.
"""

import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest

from gateway.config.json import JsonOptions
from gateway.status import StatusError
from gateway.transcoding.wire import END_GROUP, FIXED64, GROUP, VARINT, fixed, length_delimited, tag
from tests.support import rich

SMALL, LARGE = 64 * 1024, 512 * 1024
TIME = 8 * 4
MEMORY = 3
SLACK = 1 << 20
LEAST_S = 0.0005  # less is not measured well

ANY = length_delimited(1, b"x/rich.Plain") + length_delimited(2, tag(2, VARINT) + b"\x01")


def any_around(size: int) -> bytes:
    """An Any in 90 others, with a text of this size."""
    wire = length_delimited(1, b"x/google.protobuf.StringValue")
    wire += length_delimited(2, length_delimited(1, b"x" * size))
    for _ in range(90):
        wire = length_delimited(1, b"x/google.protobuf.Any") + length_delimited(2, wire)
    return length_delimited(46, wire)


def of(part: bytes, size: int) -> bytes:
    return part * (size // len(part))


MESSAGES: dict[str, Callable[[int], bytes]] = {
    "one text": lambda size: length_delimited(14, b"x" * size),
    "bytes": lambda size: length_delimited(15, b"x" * size),
    "small texts": lambda size: of(length_delimited(21, b"abc"), size),
    "empty messages": lambda size: of(length_delimited(18, b""), size),
    "packed numbers": lambda size: length_delimited(19, b"\x01" * size),
    "packed floats": lambda size: length_delimited(23, of(fixed("<f", 0.1), size)),
    "numbers with a tag each": lambda size: of(tag(19, VARINT) + b"\x01", size),
    "a value again and again": lambda size: of(tag(1, VARINT) + b"\x01", size),
    "a message in many pieces": lambda size: of(length_delimited(17, b"\x10\x01"), size),
    "members of a oneof in turn": lambda size: of(
        length_delimited(31, b"") + length_delimited(33, b"\x10\x01"), size
    ),
    "one map key again and again": lambda size: of(
        length_delimited(25, length_delimited(1, b"k")), size
    ),
    "messages of Any in a map": lambda size: of(
        length_delimited(63, length_delimited(2, length_delimited(46, ANY))), size
    ),
    "Any in Any": any_around,
    "numbers in a ListValue": lambda size: length_delimited(
        44, of(length_delimited(1, tag(2, FIXED64) + fixed("<d", 5.0)), size)
    ),
    "paths of a mask": lambda size: length_delimited(41, of(length_delimited(1, b"a_b"), size)),
    "unknown fields": lambda size: of(length_delimited(99, b"x"), size),
    "unknown groups": lambda size: of(tag(99, GROUP) + tag(99, END_GROUP), size),
    "groups without end": lambda size: of(tag(99, GROUP), size),
    "bytes of a varint": lambda size: b"\xff" * size,
}


INDENTED = JsonOptions(emit_unset=False, pretty=True)


def write(wire: bytes, options: JsonOptions | None = None) -> int:
    """Writes a message; returns the size of its JSON, 0 if it has none."""
    with suppress(StatusError):
        return len(rich.codec(options).writer(rich.message("rich.Book"))(wire))
    return 0


def seconds(wire: bytes) -> float:
    def once() -> float:
        start = time.process_time()
        write(wire)
        return time.process_time() - start

    return min(once() for _ in range(3))


@pytest.mark.parametrize("name", MESSAGES)
def test_time_is_in_step_with_size(name: str) -> None:
    small, large = MESSAGES[name](SMALL), MESSAGES[name](LARGE)
    write(small)  # makes the plans
    assert seconds(large) <= TIME * max(seconds(small), LEAST_S)


@pytest.mark.parametrize("options", [None, INDENTED], ids=["compact", "indented"])
@pytest.mark.parametrize("name", MESSAGES)
def test_memory_is_a_few_times_the_larger_side(name: str, options: JsonOptions | None) -> None:
    wire = MESSAGES[name](LARGE)
    written = write(wire, options)
    tracemalloc.start()
    try:
        write(wire, options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= MEMORY * max(len(wire), written) + SLACK
