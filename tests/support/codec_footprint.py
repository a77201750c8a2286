"""Measures how far the memory of a process grows while a codec converts a message.

`python -m tests.support.codec_footprint python|native` prints a line for each message, in one
direction, for which it grows by more than three times the larger of message and JSON, and
one megabyte; with a number behind it, a line for each, of so many megabytes. Linux only.

Memory that the codec has freed does not count: the allocator is told to give it back. Nor does
what is made once: plans, and pages of code, which a small message of the kind needs before.
"""

import ctypes
import os
import re
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from gateway.transcoding.json.native import VARIABLE
from tests.support import rich

SIZE = (int(sys.argv[2]) if sys.argv[2:] else 4) << 20
TIMES = 3
SLACK = 1 << 20  # what does not depend on the size
_SMALL = 128 << 10
"""The size of the message before: more than what the codec reads at once."""
_SELF = Path("/proc/self")


def _entries(size: int, name: bytes, value: bytes) -> bytes:
    count = size // (len(value) + 10)
    return b'{"%b":{%b}}' % (name, b",".join(b'"%d":%b' % (key, value) for key in range(count)))


def _items(size: int, name: bytes, value: bytes) -> bytes:
    return b'{"%b":[%b]}' % (name, b",".join([value] * (size // (len(value) + 1))))


_EMOJI: Final = "\U0001f600".encode()
BODIES: Final[dict[str, Callable[[int], bytes]]] = {
    "map of strings": lambda size: _entries(size, b"labels", b'""'),
    "map of messages": lambda size: _entries(size, b"byYear", b"{}"),
    "map of numbers": lambda size: _entries(size, b"counts", b"1"),
    "Struct": lambda size: _entries(size, b"extra", b"0"),
    "Values": lambda size: _items(size, b"values", b'{"a":1}'),
    "strings": lambda size: _items(size, b"tags", b'"ab"'),
    "messages": lambda size: _items(size, b"coAuthors", b'{"name":"A"}'),
    "numbers": lambda size: _items(size, b"weights", b"1.5"),
    "ListValue": lambda size: _items(size, b"list", b"1"),
    "Anys": lambda size: _entries(size, b"parts", b'{"any":{"@type":"x/rich.Plain"}}'),
    "control characters": lambda size: b'{"title":"%b"}' % (b"\\u0001" * (size // 6)),
    "text": lambda size: b'{"title":"%b"}' % (b"x" * size),
    "text in quotes": lambda size: b'{"title":"%b"}' % (b'\\"x' * (size // 3)),
    "Cyrillic text": lambda size: b'{"title":"%b"}' % ("\u0416" * (size // 2)).encode(),
    "emoji": lambda size: b'{"title":"%b"}' % ("\U0001f600" * (size // 4)).encode(),
    "text and an emoji": lambda size: b'{"title":"%b%b"}' % (b"x" * size, _EMOJI),
    "text and a letter": lambda size: b'{"title":"%b\xd0\x96"}' % (b"x" * size),
    "text in a Value": lambda size: b'{"value":"%b%b"}' % (b"x" * size, _EMOJI),
    "text in quotes and an emoji": lambda size: (
        b'{"title":"%b%b"}' % (b'\\"x' * (size // 3), _EMOJI)
    ),
    "text as a key": lambda size: b'{"labels":{"%b%b":""}}' % (b"x" * size, _EMOJI),
    "text as a member": lambda size: b'{"extra":{"%b%b":0}}' % (b"x" * size, _EMOJI),
    "bytes": lambda size: b'{"data":"%b"}' % (b"QUJD" * (size // 4)),
}
"""JSON of many small values, each kind of which takes memory of its own beside the text; and of one
large text."""


def in_child(work: Callable[[], None]) -> None:
    """Runs something in a process of its own, whose allocator has no memory to spare."""
    child = os.fork()
    if not child:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is told to the parent
            sys.stderr.write(f"{error!r}\n")
            os._exit(1)
        os._exit(0)
    if os.waitpid(child, 0)[1]:
        raise SystemExit("a child failed")


def write_body(make: Callable[[int], bytes], file: Path) -> None:
    """Makes a body."""
    file.write_bytes(make(SIZE))


def convert(transform: Callable[[bytes], bytes], before: bytes, source: Path, target: Path) -> None:
    """Converts a message `before`, then a file.

    It writes the result, and beside it the growth of the memory at its peak.
    """
    transform(before)
    message = source.read_bytes()
    Path(_SELF, "clear_refs").write_text("5")  # the peak is now what is resident (proc(5))
    start = _peak()
    result = transform(message)
    target.with_suffix(".grown").write_text(str(_peak() - start))
    target.write_bytes(result)


def _peak() -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(_SELF, "status").read_text())
    assert found is not None
    return int(found[1]) * 1024


def _give_memory_back() -> None:
    """Makes glibc give every larger block back as it is freed (mallopt(3), M_MMAP_THRESHOLD).

    By default, blocks up to the size of the largest one that was freed stay in its heap.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # musl has none
    if mallopt is not None:
        mallopt(-3, 128 * 1024)


def main() -> None:
    """Converts each body to a message, and back."""
    os.environ[VARIABLE] = sys.argv[1]
    _give_memory_back()
    is_wordy = bool(sys.argv[2:])
    book = rich.message("rich.Book")
    read, write = rich.codec().reader(book), rich.codec().writer(book)
    write(read(b"{}"))
    with TemporaryDirectory() as folder:
        body, wire, text = (Path(folder, name) for name in ("body", "wire", "text"))
        for name, make in BODIES.items():
            in_child(partial(write_body, make, body))
            small = make(_SMALL)
            in_child(partial(convert, read, small, body, wire))
            in_child(partial(convert, write, read(small), wire, text))
            larger = max(file.stat().st_size for file in (body, wire, text))
            for direction, file in (("in", wire), ("out", text)):
                cost = int(file.with_suffix(".grown").read_text())
                if is_wordy or cost > TIMES * larger + SLACK:
                    sys.stdout.write(f"{name} {direction}: {cost / larger:.1f} times\n")
                    sys.stdout.flush()


if __name__ == "__main__":
    main()
