"""Texts and messages nested without end, fed to whatever reads what others wrote.

Run as a program it does so itself: what recurses in native code ends the process it is in.
"""

import random
import sys
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from google.protobuf.any_pb2 import Any

from gateway.auth.jwt.authenticator import JwtError, parse_jwt
from gateway.auth.jwt.jwks import KeySetError, read_keys
from gateway.config.json import JsonOptions
from gateway.config.loader import ConfigError, load_config
from gateway.status import StatusError
from gateway.transcoding import protobuf_codec
from gateway.transcoding.streams.deframing import ArrayItems, Deframer, Lines
from gateway.transcoding.wire import END_GROUP, GROUP, length_delimited, tag
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


def _any_of(wire: bytes) -> bytes:
    return Any(type_url="x/google.protobuf.Any", value=wire).SerializeToString()


def _book_in_any(wire: bytes) -> bytes:
    part = length_delimited(46, Any(type_url="x/rich.Book", value=wire).SerializeToString())
    return length_delimited(63, length_delimited(2, part))


WRAPS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("rich.Author", partial(length_delimited, 3)),
    ("rich.Book", lambda wire: length_delimited(43, length_delimited(6, wire))),
    ("rich.Book", lambda wire: length_delimited(46, _any_of(wire))),
    ("rich.Book", _book_in_any),
    ("google.protobuf.Value", lambda wire: length_delimited(6, length_delimited(1, wire))),
    ("google.protobuf.Any", _any_of),
    ("modern.Node", lambda wire: tag(3, GROUP) + wire + tag(3, END_GROUP)),
    ("rich.Plain", lambda wire: tag(99, GROUP) + wire + tag(99, END_GROUP)),
    ("old.Job", partial(length_delimited, 102)),
]


def deep_messages(chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Each kind of message in itself, often."""
    for name, wrap in WRAPS:
        wire = b""
        for _ in range(chance.choice([90, 101, 150, 1_000, 3_000])):
            wire = wrap(wire)
        yield name, wire


def try_messages(chance: random.Random) -> None:
    """Feeds them to what reads protobuf bodies, and to what writes replies and failures."""
    pretty = rich.codec(JsonOptions(pretty=True))
    for name, wire in deep_messages(chance):
        message = rich.message(name)
        for transform in (
            *(rich.codec().writer(message), pretty.writer(message)),
            *(protobuf_codec.reader(message), rich.codec().field_writer(message.fields[0])),
        ):
            with suppress(StatusError):
                transform(wire)
        rich.codec().any_to_json(f"x/{name}", wire)
        with suppress(StatusError):
            rich.codec().any_to_json("x/google.protobuf.Any", _any_of(wire))


def try_documents(chance: random.Random) -> None:
    """Feeds nested JSON to what reads tokens and keys, nested YAML to what reads settings."""
    times = chance.choice([101, 1_000, 3_000, 50_000])
    for opening in (b"[", b'{"keys":[', b'{"a":'):
        document = opening * times
        with suppress(KeySetError):
            read_keys(document, allow_secrets=False)
        part = urlsafe_b64encode(document).rstrip(b"=").decode()
        with suppress(JwtError):
            parse_jwt(f"{part}.{part}.AA")
    for indicator in ("[", "{a: ", "- ", "? "):
        text = indicator * min(times, 600)  # more says no more, and YAML takes the square of it
        with suppress(ConfigError):
            load_config(None, {"GATEWAY_LISTEN": text}, {})
        with TemporaryDirectory() as folder, suppress(ConfigError):
            file = Path(folder, "gateway.yaml")
            file.write_text(text)
            load_config(file, {}, {})


def main() -> None:
    """Feeds every reader; says which took what it must refuse."""
    for seed in range(2):
        try_messages(random.Random(seed))
        try_documents(random.Random(seed))
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
