"""The reader of JSON against google's own: random messages, and texts that are a little wrong."""

import random
import re
from typing import Any

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.status import StatusError
from gateway.transcoding.json.message_fields import entry_fields, parts_of
from tests.support import rich

TYPES = ["rich.Book", "rich.Author", "rich.Plain", "old.Job", "modern.Node"]
SEEDS = st.integers(0, 1 << 32)
quick = settings(max_examples=60, deadline=None, derandomize=True)

TEXTS = ["", "a", "é\n", '"\\', "\U0001f600", "a" * 200]
CPP_INT32, CPP_INT64, CPP_UINT32, CPP_UINT64, CPP_DOUBLE, CPP_FLOAT, CPP_BOOL = range(1, 8)
BITS = {CPP_INT32: (31, 1), CPP_INT64: (63, 1), CPP_UINT32: (32, 0), CPP_UINT64: (64, 0)}
STRING_OR_MINUS_ZERO = re.compile(r'("(?:[^"\\]|\\.)*")|-0(?![.0-9eE])')
LIKELY = '{}[]",:0123456789.eE+-_asZTn \\u/='


def scalar(field: FieldDescriptor, chance: random.Random) -> Any:
    kind = field.cpp_type
    if kind in BITS:
        bits, signed = BITS[kind]
        least, most = -(1 << bits) if signed else 0, (1 << bits) - 1
        return chance.choice([least, most, 0, 1, chance.randint(least, most)])
    if kind == CPP_DOUBLE:
        return chance.choice([0.0, 1.5, -2e300, 1e-300, float("inf"), chance.random()])
    if kind == CPP_FLOAT:
        return chance.choice([0.0, 1.5, -(2.0**100), float("-inf")])
    if kind == CPP_BOOL:
        return chance.random() < 0.5
    if field.enum_type is not None:
        return chance.choice(field.enum_type.values).number
    text = chance.choice(TEXTS)
    return text.encode() if field.type == FieldDescriptor.TYPE_BYTES else text


def fill_known(message: Any, chance: random.Random) -> bool:
    """Fills a well-known type that not every content of its fields is valid for."""
    name = message.DESCRIPTOR.name
    if message.DESCRIPTOR.file.package != "google.protobuf" or name.endswith("tyValue"):
        return False
    if name == "Timestamp":
        message.FromSeconds(chance.randint(-62_135_596_800, 253_402_300_799))
        message.nanos = chance.choice([0, 1, 500_000_000, 999_999_999])
    elif name == "Duration":
        message.FromNanoseconds(chance.randint(-(10**18), 10**18))
    elif name == "FieldMask":
        message.paths.extend(chance.choices(["a", "b_c.d", "e1"], k=chance.randint(0, 3)))
    elif name == "Struct":
        message.update({"a": [1, None, {"b": True}], "": chance.random()})
    elif name == "Value":
        json_format.Parse(chance.choice(["null", "1", '"x"', "[{}]", "true"]), message)
    elif name == "ListValue":
        message.extend([1, "a", None])
    elif name == "Any":
        held = GetMessageClass(rich.message("rich.Plain"))()
        fill(held, chance, 0)
        message.Pack(held)
    else:
        return bool(name == "Empty")
    return True


def fill(message: Any, chance: random.Random, depth: int) -> None:
    """Sets some of the fields."""
    if fill_known(message, chance):
        return
    for field in parts_of(message.DESCRIPTOR):
        if chance.random() < 0.75 or (field.message_type is not None and depth <= 0):
            continue
        held: Any = getattr(message, field.name, None)
        if field.is_extension:
            held = message.Extensions[field]
        entry = entry_fields(field)
        if entry is not None:
            key, value = scalar(entry[0], chance), entry[1]
            if value.message_type is not None:
                fill(held[key], chance, depth - 1)
            else:
                held[key] = scalar(value, chance)
        elif field.message_type is None:
            if field.is_repeated:
                held.extend(scalar(field, chance) for _ in range(chance.randint(0, 3)))
            elif field.is_extension:
                message.Extensions[field] = scalar(field, chance)
            else:
                setattr(message, field.name, scalar(field, chance))
        else:
            one = held.add() if field.is_repeated else held
            one.SetInParent()
            fill(one, chance, depth - 1)


def written(name: str, chance: random.Random) -> tuple[Any, str]:
    """A random message, and its JSON as google writes it."""
    message = GetMessageClass(rich.message(name))()
    fill(message, chance, 3)
    return message, json_format.MessageToJson(
        message,
        descriptor_pool=rich.pool(),
        indent=None,
        preserving_proto_field_name=chance.random() < 0.3,
        use_integers_for_enums=chance.random() < 0.3,
    )


@quick
@given(st.sampled_from(TYPES), SEEDS)
def test_what_google_writes_is_read_as_it_was(name: str, seed: int) -> None:
    message, text = written(name, random.Random(seed))
    read = type(message)()
    read.MergeFromString(rich.read(text, name))
    # Not the messages: in theirs, an extension that is an empty list may count as set.
    assert partial_bytes(read) == partial_bytes(message)


def partial_bytes(message: Any) -> bytes:
    """The wire bytes of a message, of which required fields may be missing."""
    return bytes(message.SerializePartialToString(deterministic=True))


def exact_zeros(body: str) -> str:
    """The body with a point in each minus zero, which google reads as zero otherwise."""
    return STRING_OR_MINUS_ZERO.sub(lambda found: found[1] or "-0.0", body)


@quick
@given(st.sampled_from(TYPES), SEEDS)
def test_a_text_that_is_a_little_wrong_is_refused_or_read_as_google_does(
    name: str, seed: int
) -> None:
    chance = random.Random(seed)
    text = list(written(name, chance)[1])
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(text) + 1)
        text[at : at + chance.randint(0, 1)] = chance.choice(LIKELY)
    body = "".join(text)
    try:
        wire = rich.read(body, name)
    except StatusError:
        return
    kind = GetMessageClass(rich.message(name))
    theirs = json_format.Parse(exact_zeros(body), kind(), descriptor_pool=rich.pool())
    ours = kind()
    ours.MergeFromString(wire)
    assert partial_bytes(ours) == partial_bytes(theirs)
