"""What large messages cost a process, native code included; says which cost too much."""

import resource
import sys
from contextlib import suppress

from gateway.status import StatusError
from gateway.transcoding.json.codec import Transform
from gateway.transcoding.wire import FIXED64, fixed, length_delimited, tag
from tests.support import rich

SIZES = (2 << 20, 4 << 20)
MEMORY = 4
SLACK = 2 << 20  # what an allocator keeps, whatever it is asked for

FIVE = length_delimited(43, tag(2, FIXED64) + fixed("<d", 5.0))


def messages(size: int) -> list[tuple[str, bool, bytes]]:
    """A name, whether it is to be read rather than written, and the message."""
    return [
        ("text and a number, to be written", False, FIVE + length_delimited(14, b"x" * size)),
        (
            "dots and a number, to be written",
            False,
            FIVE + length_delimited(14, b".0," * (size // 3)),
        ),
        ("a long string that is no object", True, b'"' + b"[" * 120 + b"\n" * size),
        ("escapes behind brackets", True, b"[" * 101 + b'"' + b'\\"' * (size // 2)),
        ("a long title", True, b'{"title":"' + b"a" * size + b'"}'),
        ("brackets without end", True, b"[" * size),
    ]


def main() -> None:
    """Reads and writes each, smaller ones first: the peak of a process only grows."""
    book = rich.message("rich.Book")
    read, write = rich.codec().reader(book), rich.codec().writer(book)
    read(b"{}")
    write(FIVE)
    for size in SIZES:
        for name, is_read, message in messages(size):
            before = _peak()
            _take(read if is_read else write, message)
            cost = _peak() - before
            if cost > MEMORY * len(message) + SLACK:
                sys.stdout.write(f"{name}: {cost} bytes for {len(message)}\n")


def _take(transform: Transform, message: bytes) -> None:
    with suppress(StatusError):
        transform(message)


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


if __name__ == "__main__":
    main()
