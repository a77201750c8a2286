"""Measures how far the memory of a process grows while the native codec converts a message.

`python -m tests.support.native_footprint` prints a line for each message, in one direction, for
which it grows by more than three times the larger of message and JSON, and a megabyte. Linux only.
"""

import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from gateway.transcoding.json.native import VARIABLE
from tests.support import rich

SIZE = 4 << 20
TIMES = 3
SLACK = 1 << 20
_SELF = Path("/proc/self")


def bodies() -> Iterator[tuple[str, bytes]]:
    """JSON of many small values: each kind takes memory of its own beside the text."""
    yield "map of strings", _entries(b"labels", b'""')
    yield "map of messages", _entries(b"byYear", b"{}")
    yield "map of numbers", _entries(b"counts", b"1")
    yield "Struct", _entries(b"extra", b"0")
    yield "Values", _items(b"values", b'{"a":1}')
    yield "strings", _items(b"tags", b'"ab"')
    yield "messages", _items(b"coAuthors", b'{"name":"A"}')
    yield "numbers", _items(b"weights", b"1.5")
    yield "Anys", _items(b"list", b'{"@type":"x/rich.Plain"}')
    yield "control characters", b'{"title":"%b"}' % (b"\\u0001" * (SIZE // 6))


def _entries(name: bytes, value: bytes) -> bytes:
    count = SIZE // (len(value) + 10)
    return b'{"%b":{%b}}' % (name, b",".join(b'"%d":%b' % (key, value) for key in range(count)))


def _items(name: bytes, value: bytes) -> bytes:
    return b'{"%b":[%b]}' % (name, b",".join([value] * (SIZE // (len(value) + 1))))


def grown(transform: Callable[[bytes], bytes], message: bytes) -> tuple[bytes, int]:
    """Converts a message; returns the result, and the growth of the resident memory at its peak."""
    Path(_SELF, "clear_refs").write_text("5")  # the peak is now what is resident (proc(5))
    before = _peak()
    result = transform(message)
    return result, _peak() - before


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(_SELF, "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def main() -> None:
    """Converts each body to a message, and back."""
    os.environ[VARIABLE] = "native"
    book = rich.message("rich.Book")
    read, write = rich.codec().reader(book), rich.codec().writer(book)
    write(read(b"{}"))
    for name, body in bodies():
        wire, reading = grown(read, body)
        text, writing = grown(write, wire)
        most = TIMES * max(len(body), len(wire), len(text)) + SLACK
        for direction, cost in (("in", reading), ("out", writing)):
            if cost > most:
                sys.stdout.write(f"{name} {direction}: {cost} bytes, wanted {most}\n")


if __name__ == "__main__":
    main()
