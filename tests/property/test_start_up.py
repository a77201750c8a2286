"""Whatever settings and descriptor sets hold: plain lines and exit code 1, never a traceback.

Seeded, so that a failure comes again; `GATEWAY_FUZZ_ROUNDS` in the environment asks for more.
"""

import os
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet
from google.protobuf.message import Message

from gateway.config.model import Config
from gateway.config.sections import Section
from tests.support.command_line import Done, run

ROUNDS = int(os.environ.get("GATEWAY_FUZZ_ROUNDS", "40"))

SAMPLE = """\
listen: 127.0.0.1:0
workers: 1
descriptors: [none.binpb]
upstreams: {library: {target: "library:50051", services: ["library.v1.*"], tls: {}}}
limits: &limits {body_bytes: 1000, header_timeout_s: 1.5}
log:
  access: off
  headers: [x-a, 'x-b']
filters:
- name: admin   # a comment
  paths: [/admin/*]
  allow_networks: ["10.0.0.0/8", ::1]
policies:
- selector: "library.v1.*"
  rate_limits: [{limit: 4, by: header, header: x-a}]
auth: {store: "memory:", tokens: {failures: 3}}
"""
FRAGMENTS = (
    "[", "{", "]", "}", ": ", "\n", "\n- ", "\t", "*x", "&x ", "*limits", "<<: *limits", "!!int x",
    "!!binary ä", "!x", "'", '"', "|", ">", "%", "@", "`", "#", "---\n", "...\n", "? ", "~", "off",
    "2001-13-45", "12:30", "0x", "9" * 5_000, "-1e999", ".nan", "[" * 3_000, "- " * 200, "true: 2",
    "\\ud800", '"\\ud800"', '"\\0"', "\x00", "\x85", "\u2028", "\ufeff", "\U0001f600", "a: &a [*a]",
    "::1", "unix:", "regex:(", "http://a", "a,b", "\r", "\x1b[2J",
)  # fmt: skip


def is_plain(done: Done) -> bool:
    lines = (done.stdout + done.stderr).split("\n")
    return all(line.isprintable() for line in lines) and "Traceback" not in done.stderr


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expect_refusal(done: Done, *, may_pass: bool = True) -> None:
    assert done.returncode == 1 or (may_pass and done.returncode == 0)
    assert done.returncode == 0 or done.stderr or "error" in done.stdout
    assert is_plain(done)
    assert all(line.startswith("gateway: ") for line in done.stderr.split("\n") if line)


def mutated(text: str, chance: random.Random) -> str:
    for _ in range(chance.choice((1, 1, 2, 6))):
        at = chance.randrange(len(text) + 1)
        match chance.randrange(4):
            case 0:
                text = text[:at] + text[at + chance.randrange(1, 12) :]
            case 1:
                text = text[:at] + chance.choice(FRAGMENTS) + text[at:]
            case 2:
                text = text[:at] + chr(chance.randrange(1, 0x250)) + text[at + 1 :]
            case _:
                lines = text.split("\n")
                lines.insert(chance.randrange(len(lines) + 1), chance.choice(lines))
                text = "\n".join(lines)
    return text


@pytest.mark.parametrize("seed", range(4))
def test_settings_of_any_text(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS):
        (folder / "gateway.yaml").write_text(mutated(SAMPLE, chance), encoding="utf-8")
        expect_refusal(run("config"))
    expect_refusal(run("check"))


def paths(section: type[Section], parents: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for name, field in section.model_fields.items():
        path = (*parents, field.alias or name)
        yield path
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield from paths(field.annotation, path)


def test_any_value_of_any_setting(folder: Path) -> None:
    chance = random.Random(5)
    for path in paths(Config):
        for fragment in chance.sample(FRAGMENTS, 1):
            text = "".join(f"{'  ' * depth}{name}:\n" for depth, name in enumerate(path[:-1]))
            text += f"{'  ' * (len(path) - 1)}{path[-1]}: {fragment}\n"
            (folder / "gateway.yaml").write_text(text, encoding="utf-8")
            expect_refusal(run("config"))
            if "\0" not in fragment:
                expect_refusal(run("config", **{"GATEWAY_" + "__".join(path).upper(): fragment}))


@pytest.mark.parametrize(
    "text",
    [
        "listen: 2001-13-45",
        "workers: " + "9" * 5_000,
        "[" * 3_000,
        "true: 2",
        "!!int x",
        "listen: a\nlisten: b",
        'descriptors: ["\\0"]',
    ],
)
def test_the_texts_that_ended_in_tracebacks(folder: Path, text: str) -> None:
    (folder / "gateway.yaml").write_text(text)
    for command in ("check", "routes"):
        expect_refusal(run(command), may_pass=False)


ECHO = FileDescriptorSet.FromString(Path("gen/descriptors.binpb").read_bytes())


@pytest.mark.parametrize("seed", range(2))
def test_descriptor_sets_of_any_bytes(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    whole = ECHO.SerializeToString()
    for _ in range(ROUNDS // 3):
        data = bytearray(whole)
        for _ in range(chance.choice((1, 1, 2, 5, 20))):
            at = chance.randrange(len(data))
            if chance.random() < 0.7:
                data[at] = chance.choice((0, 0x7F, 0x80, 0xFF, chance.randrange(256)))
            else:
                del data[at : at + chance.randrange(1, 9)]
        (folder / "set.binpb").write_bytes(data)
        expect_refusal(run("check", "--descriptors", "set.binpb"))


def parts(message: Message) -> Iterator[Message]:
    """A message, and all in it."""
    yield message
    for field, value in message.ListFields():
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            for one in value if field.is_repeated else [value]:
                yield from parts(one)


def spoil(message: Message, chance: random.Random) -> None:
    """Changes one field of a descriptor to something that fits its type, and hardly its place."""
    fields = [pair for pair in message.ListFields() if not pair[0].is_extension]
    if not fields:
        return
    field, value = chance.choice(fields)
    if field.is_repeated or field.message_type is not None or chance.random() < 0.3:
        message.ClearField(field.name)
    elif isinstance(value, str):
        setattr(message, field.name, chance.choice(("", ".", "\n", "QZQZ", "a b", value + ".x")))
    elif field.enum_type is None and isinstance(value, int) and not isinstance(value, bool):
        setattr(message, field.name, chance.choice((0, -1, 2**31 - 1, 19_000)))


@pytest.mark.parametrize("seed", range(2))
def test_descriptor_sets_of_any_shape(folder: Path, seed: int) -> None:
    chance = random.Random(seed)
    for _ in range(ROUNDS // 3):
        files = FileDescriptorSet()
        files.CopyFrom(ECHO)
        everything = list(parts(files))[1:]
        for _ in range(chance.choice((1, 1, 3))):
            spoil(chance.choice(everything), chance)
        data = files.SerializeToString().replace(b"QZQZ", b"\xff\xfeZ\x9b")
        (folder / "set.binpb").write_bytes(data)
        expect_refusal(run("check", "--descriptors", "set.binpb"))


def damaged(**changes: Any) -> bytes:
    files = FileDescriptorSet()
    files.CopyFrom(ECHO)
    (file,) = [one for one in files.file if one.name == "echo/v1/echo.proto"]
    for name, value in changes.items():
        setattr(file, name, value)
    return files.SerializeToString().replace(b"QZQZ", b"\xff\xfeZ\x9b")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(damaged(name="QZQZ"), "a file name that is not UTF-8", id="name"),
        pytest.param(damaged(name=""), "a file without a name", id="no name"),
        pytest.param(damaged(package="QZQZ"), "not UTF-8", id="package"),
        pytest.param(damaged(package="\x1b[2J"), "\\x1b[2J", id="terminal"),
    ],
)
def test_damage_is_named_with_its_file(folder: Path, content: bytes, says: str) -> None:
    (folder / "set.binpb").write_bytes(content)
    done = run("check", "--descriptors", "set.binpb")
    expect_refusal(done, may_pass=False)
    assert says in done.stderr


def test_places_without_a_span_name_no_line(folder: Path) -> None:
    files = FileDescriptorSet()
    files.CopyFrom(ECHO)
    (file,) = [one for one in files.file if one.name == "echo/v1/echo.proto"]
    file.source_code_info.location.add(path=[6, 0, 2, 0])
    del file.source_code_info.location[0].span[:]
    (folder / "set.binpb").write_bytes(files.SerializeToString())
    assert run("check", "--descriptors", "set.binpb").returncode == 0


def test_one_set_damaged_beside_a_good_one(folder: Path) -> None:
    files = FileDescriptorSet()
    files.CopyFrom(ECHO)
    (file,) = [one for one in files.file if one.name == "echo/v1/echo.proto"]
    file.message_type[0].field[0].name = "QZQZ"
    (folder / "good.binpb").write_bytes(ECHO.SerializeToString())
    (folder / "bad.binpb").write_bytes(files.SerializeToString().replace(b"QZQZ", b"\xff\xfeZ\x9b"))
    done = run("check", "--descriptors", "good.binpb", "--descriptors", "bad.binpb")
    expect_refusal(done, may_pass=False)
    assert "not UTF-8" in done.stderr
