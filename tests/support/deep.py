"""Texts and messages nested without end, fed to whatever reads what others wrote.

Run as a program it does so itself: what recurses in native code ends the process it is in.
"""

import random
import sys
from collections.abc import Callable, Iterator

from gateway.status import StatusError
from gateway.transcoding.deframing import ArrayItems, Deframer, Lines
from tests.support import rich

OPENINGS = [
    *(b"[", b"{", b'{"a":', b'[{"a":', b'{"mentor":', b'{"parts":{"":', b'{"\\u0061":[', b"[ \t"),
    *(b'{"any":{"@type":"x/rich.Book","any":', b'{"@type":"x/google.protobuf.Any","value":'),
    *(b'{"value":[', b'{"extra":{"fields":', b'["]\\\\\\"",', b'[[],{"}":"{"},'),
]
SEEDS = 40


def deep_json(chance: random.Random) -> bytes:
    """A text whose brackets open far more often than they close."""
    openings = chance.sample(OPENINGS, chance.randint(1, 3))
    times = chance.choice([101, 150, 1_000, 20_000])
    body = b"".join(chance.choices(openings, k=times))
    if chance.random() < 0.5:
        name = chance.choice(["title", "any", "value", "extra", "list", "mask", "zz", "pages"])
        body = b'{"%b":%b' % (name.encode(), body)
    if chance.random() < 0.3:
        body += b"]" * body.count(b"[") + b"}" * body.count(b"{")
    return body


def _fed(deframer: Deframer, read: Callable[[bytes], bytes]) -> Callable[[bytes], None]:
    def take(body: bytes) -> None:
        for message in deframer.feed(body + b"\n"):
            read(message)

    return take


def json_readers() -> Iterator[tuple[str, Callable[[bytes], object]]]:
    """Whatever takes a JSON body."""
    for codec in (rich.codec(), rich.codec(json_depth=3)):
        for name in ("rich.Book", "rich.Author", "rich.Plain", "old.Job", "modern.Node"):
            read = codec.reader(rich.message(name))
            yield name, read
            yield f"{name} by line", _fed(Lines(1 << 24), read)
            yield f"{name} in an array", _fed(ArrayItems(1 << 24), read)
        for name in ("google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.Any"):
            yield name, codec.reader(rich.message(name))
        for field in rich.message("rich.Book").fields:
            yield field.full_name, codec.field_reader(field)


def main() -> None:
    """Feeds every reader; says which took what it must refuse."""
    readers = list(json_readers())
    for seed in range(SEEDS):
        chance = random.Random(seed)
        body = deep_json(chance)
        for name, read in chance.sample(readers, 12):
            try:
                read(body)
            except StatusError as error:
                if "nested deeper than" in error.message or "in an array" in name:
                    continue
                sys.exit(f"seed {seed}: {name}: {error.message}")
            if "in an array" not in name:  # which waits for the rest of what has begun
                sys.exit(f"seed {seed}: {name}: took it")
    sys.stdout.write("all refused\n")


if __name__ == "__main__":
    main()
