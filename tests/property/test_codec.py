"""The codec against arbitrary input, and against google's own."""

import json
import re
from collections.abc import Callable
from decimal import Decimal
from functools import cache

from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.config.json import JsonOptions, Unknown
from gateway.status import Code, StatusError
from gateway.transcoding.json.message_fields import entry_fields, parts_of
from tests.support import rich

TYPES = ["rich.Book", "rich.Author", "rich.Plain", "old.Job", "modern.Node"]

quick = settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

NUMBER_LIKE = st.text("0123456789+-._eE ١s\t", min_size=1, max_size=8) | st.sampled_from(
    ["9007199254740993", "1e400", "123456789012345e3", "1.0", "-0", "1E2", "18446744073709551616"]
)
BARE_NUMBER = st.one_of(
    st.integers(-(1 << 65), 1 << 65).map(str),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.sampled_from(
        [
            *("1e400", "9007199254740993", "9007199254740993.0", "3.4028235e38"),
            *("3.402823567797337e38", "-0", "1.0", "1e2", "1.00000000000000000001"),
            *("2147483648", "9999999999", "1E0400"),
        ]
    ),
)
TIME_LIKE = st.builds(
    "{}-{}-{}{}{}:{}:{}{}{}".format,
    st.sampled_from(["2024", "0000", "0001", "9999", "10000"]),
    *(st.sampled_from(part) for part in (["01", "12", "13"], ["01", "30", "31"], "TTTt ")),
    *(st.sampled_from(part) for part in (["00", "23", "24"], ["59", "60"], ["00", "59", "60"])),
    st.sampled_from(["", ".1", ".123456789", ".1234567891", "."]),
    st.sampled_from(["Z", "z", "+00:00", "-23:59", "+24:00", "+0100", ""]),
)
SPAN_LIKE = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.text("0123456789", max_size=13) | st.sampled_from(["315576000000", "315576000001"]),
    st.sampled_from(["", ".", ".5", ".123456789", ".1234567891"]),
    st.sampled_from("sssh"),
)
MASK_LIKE = st.lists(st.sampled_from(["a", "bC", ".", ",", "_", "*", "1", " ", "é"])).map("".join)
BASE64_LIKE = st.text("YQab+/-_= ", max_size=9)
TEXT = NUMBER_LIKE | TIME_LIKE | SPAN_LIKE | MASK_LIKE | BASE64_LIKE | st.text(max_size=4)
STRING = TEXT.map(json.dumps) | TEXT.map(
    lambda text: '"' + "".join(f"\\u{ord(c):04x}" for c in text if c < "\ud800") + '"'
)
ENUM_LIKE = st.sampled_from(
    [
        *('"RED"', '"NONE"', '"FAST"', '"OPEN_ONE"', '"CLOSED_TWO"', '"NULL_VALUE"', '"1"'),
        *("1", "77", "2147483648", "-2147483649", "1.0", "null"),
    ]
)
ANY_LIKE = st.sampled_from(
    [
        '{"@type":"type.googleapis.com/rich.Author","name":"A"}',
        '{"@type":"rich.Author"}',
        '{"@type":"type.googleapis.com/google.protobuf.Duration","value":"5.s"}',
        '{"@type":"type.googleapis.com/google.protobuf.Empty","value":{}}',
        '{"@type":"type.googleapis.com/rich.Book","url":"x","shelf":"01"}',
        '{"@type":"x/google.protobuf.Any","value":{"@type":"x/rich.Plain","count":"+1"}}',
    ]
)
LEAF = st.one_of(
    BARE_NUMBER, STRING, ENUM_LIKE, ANY_LIKE, st.sampled_from(["true", "null", "[]", "{}"])
)


def value(field: FieldDescriptor, depth: int) -> st.SearchStrategy[str]:
    """JSON in the outer form of the field's type; the values may be wrong."""
    entry = entry_fields(field)
    if entry is not None:
        key = st.one_of(NUMBER_LIKE, st.integers(0, 9).map(str), st.sampled_from(["true", "}"]))
        pair = st.tuples(key.map(json.dumps), single(entry[1], depth)).map(":".join)
        return st.lists(pair, max_size=2).map(lambda pairs: f"{{{','.join(pairs)}}}")
    if field.is_repeated:
        items = st.lists(single(field, depth), max_size=3)
        return items.map(lambda found: f"[{', '.join(found)}]")
    return single(field, depth)


def single(field: FieldDescriptor, depth: int) -> st.SearchStrategy[str]:
    message = field.message_type
    if message is None or message.full_name.startswith("google.protobuf."):
        return LEAF | LEAF.map(lambda leaf: f'{{"a":[{leaf}]}}')
    return objects(message.full_name, depth - 1) if depth else st.just("{}")


@cache
def objects(name: str, depth: int = 2) -> st.SearchStrategy[str]:
    """Bodies that may or may not be messages of this type."""
    members = []
    for field in parts_of(rich.message(name)):
        names = [f"[{field.full_name}]"] if field.is_extension else [field.json_name, field.name]
        spelled = st.sampled_from([f'"{each}"' for each in names])
        members.append(st.tuples(spelled, value(field, depth)).map(":".join))
    members.append(st.tuples(STRING, LEAF).map(" : ".join))
    return st.lists(st.one_of(members), max_size=3).map(lambda found: f"{{{','.join(found)}}}")


def bodies() -> st.SearchStrategy[tuple[str, str]]:
    """A type's name with a body for it."""
    return st.sampled_from(TYPES).flatmap(lambda name: st.tuples(st.just(name), objects(name)))


def outcome(call: Callable[[bytes], bytes], data: bytes) -> bytes | Code:
    """What a call answers, or the code of its error; any other exception fails the test."""
    try:
        return call(data)
    except StatusError as error:
        return error.code


def accepted(name: str, body: str) -> bytes | None:
    """The wire bytes of a body, or None if it is refused as it should be."""
    found = outcome(rich.codec().reader(rich.message(name)), body.encode())
    assert isinstance(found, bytes) or found is Code.INVALID_ARGUMENT
    return found if isinstance(found, bytes) else None


@cache
def field_reader(name: str) -> Callable[[bytes], bytes]:
    return rich.codec().field_reader(rich.message("rich.Book").fields_by_name[name])


@cache
def field_writer(name: str) -> Callable[[bytes], bytes]:
    return rich.codec().field_writer(rich.message("rich.Book").fields_by_name[name])


NUMBER = re.compile(r"\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?")
MOST_EXACT = 1 << 53
"""Up to it, each integer is a double."""


def loses_digits(body: str) -> bool:
    """True if a body has a large number that is no double: google takes `9007199254740993.0` as one
    even for an integer."""
    plain = json.dumps(json.loads(body, parse_int=str, parse_float=str))  # without escaped digits
    numbers = map(Decimal, NUMBER.findall(plain))
    return any(number > MOST_EXACT and Decimal(float(number)) != number for number in numbers)


FIELDS = list(rich.message("rich.Book").fields)


@quick
@given(bodies())
def test_what_is_read_is_what_google_reads(case: tuple[str, str]) -> None:
    name, body = case
    wire = accepted(name, body)
    assume(wire is not None and "NaN" not in body and '"@type":"x/' not in body)
    assume(not loses_digits(body))
    theirs = GetMessageClass(rich.message(name))()
    try:
        json_format.Parse(body, theirs, descriptor_pool=rich.pool())
    except json_format.ParseError:
        assume(False)  # theirs is stricter about a few values, and laxer about others
    assert GetMessageClass(rich.message(name)).FromString(wire or b"") == theirs


@quick
@given(bodies())
def test_what_is_written_is_what_google_writes_and_reads_as_the_same(
    case: tuple[str, str],
) -> None:
    name, body = case
    wire = accepted(name, body)
    assume(wire is not None)
    # Without presence, a NullValue counts as unset here with every number.
    assume(re.search(r'"null":\s*"?-?[0-9]', body) is None)
    message = GetMessageClass(rich.message(name)).FromString(wire or b"")
    text = rich.write(wire or b"", name)
    assert json.loads(text) == json_format.MessageToDict(message, descriptor_pool=rich.pool())
    if '"null":null' not in text:  # any number of a NullValue is written as null, and read as 0
        assert json.loads(rich.write(rich.read(text, name), name)) == json.loads(text)


@quick
@given(st.sampled_from(TYPES), st.binary(max_size=60))
def test_any_bytes_are_a_message_or_an_internal_error(name: str, wire: bytes) -> None:
    for options in (JsonOptions(), JsonOptions(proto_names=True, pretty=True)):
        found = outcome(rich.codec(options).writer(rich.message(name)), wire)
        assert found is Code.INTERNAL or json.loads(found) is not None  # type: ignore[arg-type]


@quick
@given(
    st.sampled_from(TYPES), st.binary(max_size=60) | st.text('{}[]":,\\u0 1eE.-n').map(str.encode)
)
def test_any_body_is_a_message_or_an_invalid_argument(name: str, body: bytes) -> None:
    found = outcome(rich.codec().reader(rich.message(name)), body)
    assert isinstance(found, bytes) or found is Code.INVALID_ARGUMENT


@quick
@given(
    st.sampled_from(FIELDS).flatmap(lambda field: st.tuples(st.just(field), value(field, 1) | LEAF))
)
def test_a_field_alone_reads_and_writes_as_in_its_message(
    case: tuple[FieldDescriptor, str],
) -> None:
    field, body = case
    wire = accepted("rich.Book", f'{{"{field.json_name}":{body}}}')
    alone = outcome(field_reader(field.name), body.encode())
    if wire is None:
        assert alone is Code.INVALID_ARGUMENT
        return
    assert alone == wire
    text = rich.write(wire)
    if text != "{}":
        assert json.loads(text) == {field.json_name: json.loads(field_writer(field.name)(wire))}


@quick
@given(st.sampled_from(FIELDS), st.text('{}[]":,1 v'))
def test_no_body_of_a_field_sets_another(field: FieldDescriptor, body: str) -> None:
    wire = outcome(field_reader(field.name), body.encode())
    if isinstance(wire, bytes):
        json.loads(body)
        message = GetMessageClass(rich.message("rich.Book")).FromString(wire)
        assert {set_field.name for set_field, _ in message.ListFields()} <= {field.name}


@quick
@given(bodies(), LEAF)
def test_ignored_members_change_nothing(case: tuple[str, str], unknown: str) -> None:
    name, body = case
    wire = accepted(name, body)
    assume(wire is not None)
    members = [each for each in (f'"zz":{unknown}', body[1:-1], f'"yy":{unknown}') if each]
    read = rich.codec(JsonOptions(unknown_fields=Unknown.IGNORE)).reader(rich.message(name))
    assert read(f"{{{','.join(members)}}}".encode()) == wire


@quick
@given(st.text(max_size=30), st.binary(max_size=30))
def test_any_details_always_become_an_object(url: str, data: bytes) -> None:
    for each in (url, f"x/{url}", "x/rich.Book"):
        assert rich.codec().any_to_json(each, data)["@type"] == each
