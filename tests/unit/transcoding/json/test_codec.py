"""What the codec reads and writes; what it refuses is in test_checker.py."""

import json

import pytest
from google.protobuf import any_pb2, duration_pb2, struct_pb2, timestamp_pb2
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.unknown_fields import UnknownFieldSet
from google.rpc import error_details_pb2

from gateway.config.json import JsonOptions, Unknown
from gateway.status import Code, StatusError
from gateway.transcoding.json.codec import Codec
from gateway.transcoding.json.native import VARIABLE, native_module
from gateway.transcoding.wire import length_delimited, signed_varint, tag
from tests.support import rich
from tests.support.schema import descriptor_pool, descriptor_set

TYPES = "type.googleapis.com"


def holding(field: str, held: Message) -> bytes:
    """A rich.Book with one message field set, be the message valid or not."""
    number = rich.message("rich.Book").fields_by_name[field].number
    return length_delimited(number, held.SerializeToString())


ROUND_TRIPS = [
    pytest.param('{"i32":-5,"u32":4294967295,"s32":-1,"f32":7,"sf32":-7}', id="32-bit numbers"),
    pytest.param(
        '{"i64":"-9223372036854775808","u64":"18446744073709551615","s64":"-1","f64":"1",'
        '"sf64":"9223372036854775807"}',
        id="64-bit integers are strings, exact to the last digit",
    ),
    pytest.param('{"ratio":12.5,"weight":0.1,"on":true,"title":"héllo"}', id="other scalars"),
    pytest.param('{"ratio":"NaN","weight":"-Infinity"}', id="numbers JSON has no words for"),
    pytest.param('{"data":"/+8="}', id="bytes are standard base64 with padding"),
    pytest.param('{"color":"BLUE","colors":["RED",9]}', id="unknown enum numbers stay numbers"),
    pytest.param('{"author":{"name":"A","mentor":{"birthYear":1900}}}', id="nested messages"),
    pytest.param('{"coAuthors":[{"name":"A"},{}]}', id="repeated messages"),
    pytest.param('{"pages":[1,2],"widePages":["1"],"tags":["",""]}', id="repeated scalars"),
    pytest.param('{"labels":{"k":"v"},"byYear":{"1":{"name":"A"}}}', id="maps"),
    pytest.param('{"byFlag":{"true":"RED"},"byId":{"18446744073709551615":"x"}}', id="map keys"),
    pytest.param('{"url":""}', id="a oneof member that holds its default"),
    pytest.param('{"nothing":null}', id="a null that is a oneof's choice"),
    pytest.param('{"edition":0,"subtitle":""}', id="optional fields that hold their default"),
    pytest.param('{"printed":"2024-01-01T00:00:00.000001Z"}', id="a timestamp, six digits"),
    pytest.param('{"loan":"-1.500s"}', id="a duration, three digits"),
    pytest.param('{"mask":"a.bC,d"}', id="a field mask"),
    pytest.param('{"extra":{"a":[1,null,{"b":"c"}]}}', id="a struct"),
    pytest.param('{"value":null}', id="a value that is null"),
    pytest.param('{"value":5}', id="a whole number in a value has no point"),
    pytest.param('{"values":[null,1.5,"5.0,"]}', id="values in a list"),
    pytest.param('{"list":[1,2]}', id="a list value"),
    pytest.param('{"empty":{}}', id="an empty message"),
    pytest.param('{"wInt":0,"wString":"","wBool":false}', id="wrappers that hold a default"),
    pytest.param('{"wWide":"5","wBytes":"YQ==","wDouble":0.1,"wUnsigned":"1"}', id="wrappers"),
    pytest.param('{"wFloat":0.1,"wFloats":[0.1,0.2]}', id="floats in wrappers are short"),
    pytest.param('{"weights":[0.1,"NaN",1e+30],"shares":{"a}\\"":0.1}}', id="floats are short"),
    pytest.param('{"pg":"x"}', id="a JSON name of its own"),
    pytest.param(
        f'{{"any":{{"@type":"{TYPES}/rich.Author","name":"A"}}}}', id="an Any of a message"
    ),
    pytest.param(
        f'{{"any":{{"@type":"{TYPES}/google.protobuf.Duration","value":"1s"}}}}',
        id="an Any of a well-known type has a value",
    ),
    pytest.param(
        f'{{"any":{{"@type":"{TYPES}/google.protobuf.Empty"}}}}', id="an Any of Empty has none"
    ),
    pytest.param('{"parts":{"a":{"i32":1}}}', id="a message that holds itself"),
]


@pytest.mark.parametrize("text", ROUND_TRIPS)
def test_what_is_written_reads_as_the_same(text: str) -> None:
    assert rich.write(rich.read(text)) == text


OTHER_SPELLINGS = [
    pytest.param('{"i32":1.0}', '{"i32":1}', id="a whole number with a point"),
    pytest.param('{"color":1.0}', '{"color":"RED"}', id="an enum's number with a point"),
    pytest.param(
        '{"colors":[2e0,-0]}', '{"colors":["BLUE","NONE"]}', id="enums' numbers in other spellings"
    ),
    pytest.param('{"i32":"1e2"}', '{"i32":100}', id="a quoted exponent"),
    pytest.param('{"i32":-0}', "{}", id="minus zero"),
    pytest.param(
        '{"ratio":-0,"i64":"9007199254740993.0"}',
        '{"i64":"9007199254740993","ratio":-0}',
        id="minus zero is kept beside a repair",
    ),
    pytest.param('{"i64":5}', '{"i64":"5"}', id="a bare 64-bit number"),
    pytest.param('{"i64":9007199254740992}', '{"i64":"9007199254740992"}', id="bare, yet exact"),
    pytest.param(
        '{"i64":"9007199254740993.0"}', '{"i64":"9007199254740993"}', id="quoted, hence exact"
    ),
    pytest.param('{"s64":"123456789012345e3"}', '{"s64":"123456789012345000"}', id="the same by e"),
    pytest.param('{"weight":3.4028235e38}', '{"weight":3.4028235e+38}', id="rounds to the largest"),
    pytest.param('{"weight":1e-50}', "{}", id="rounds to zero"),
    pytest.param('{"ratio":"1.5"}', '{"ratio":1.5}', id="a quoted double"),
    pytest.param('{"data":"_-8"}', '{"data":"/+8="}', id="URL-safe base64 without padding"),
    pytest.param('{"color":1}', '{"color":"RED"}', id="an enum by number"),
    pytest.param('{"color":"CRIMSON"}', '{"color":"RED"}', id="an alias prints as the first name"),
    pytest.param('{"birth_year":1}', '{"birthYear":1}', id="the proto name"),
    pytest.param('{"renamed":"x"}', '{"pg":"x"}', id="the proto name beside a json_name"),
    pytest.param(
        '{"i32":null,"author":null,"pages":null,"labels":null,"edition":null,"wInt":null,'
        '"url":null,"printed":null,"any":null,"extra":null,"color":null}',
        "{}",
        id="null unsets anything",
    ),
    pytest.param('{"null":null}', "{}", id="a null value is its own default"),
    pytest.param('{"url":null,"shelf":1}', '{"shelf":1}', id="null beside a oneof's member"),
    pytest.param(
        '{"printed":"2024-01-01T00:00:00+01:00"}',
        '{"printed":"2023-12-31T23:00:00Z"}',
        id="an offset is normalised",
    ),
    pytest.param('{"title":"\\ud83d\\ude00"}', '{"title":"😀"}', id="a surrogate pair"),
    pytest.param('{"\\u0069\\u0033\\u0032":1}', '{"i32":1}', id="a name in escapes"),
    pytest.param(' {\n"i32" : 1 }\r\n', '{"i32":1}', id="white space"),
    pytest.param(
        f'{{"any":{{"name":"A","@type":"{TYPES}/rich.Author"}}}}',
        f'{{"any":{{"@type":"{TYPES}/rich.Author","name":"A"}}}}',
        id="the type of an Any behind its members",
    ),
    pytest.param('{"any":{}}', '{"any":{}}', id="an Any of nothing"),
]


@pytest.mark.parametrize(("body", "text"), OTHER_SPELLINGS)
def test_other_spellings_are_read_too(body: str, text: str) -> None:
    name = "rich.Author" if "birth" in body else "rich.Book"
    assert rich.write(rich.read(body, name), name) == text


PROTO2_AND_EDITIONS = [
    pytest.param("old.Job", '{"id":1,"mode":"OFF"}', id="a closed enum at zero"),
    pytest.param("old.Job", '{"detail":{"depth":1},"step":[{"text":"a"},{}]}', id="groups"),
    pytest.param("old.Job", '{"[old.priority]":5,"[old.sizes]":["1"]}', id="extensions"),
    pytest.param("old.Job", '{"[old.parent]":{"[old.Scope.note]":"x"}}', id="nested extensions"),
    pytest.param("old.Job", '{"name":"a"}', id="a required field may come later"),
    pytest.param("modern.Node", '{"explicit":0}', id="explicit presence"),
    pytest.param("modern.Node", '{"child":{"explicit":1},"children":[{}]}', id="delimited"),
    pytest.param("modern.Node", '{"open":5,"closed":"CLOSED_TWO"}', id="enums, open and closed"),
    pytest.param("modern.Node", '{"must":0,"spread":[1,2]}', id="required, expanded"),
]


@pytest.mark.parametrize(("name", "text"), PROTO2_AND_EDITIONS)
def test_every_syntax_round_trips_with_the_wire_format_of_google(name: str, text: str) -> None:
    wire = rich.read(text, name)
    parsed = GetMessageClass(rich.message(name))()
    parsed.MergeFromString(wire)
    assert len(UnknownFieldSet(parsed)) == 0
    assert rich.write(parsed.SerializePartialToString(), name) == text


def test_packing_follows_the_schema() -> None:
    assert rich.read('{"spread":[1,2]}', "modern.Node") == b"\x40\x01\x40\x02"
    assert rich.read('{"pages":[1,2]}') == length_delimited(19, b"\x01\x02")


def test_unset_fields_are_written_unless_they_have_presence() -> None:
    write = rich.codec(JsonOptions()).writer(rich.message("old.Job"))
    assert json.loads(write(b"")) == {"modes": [], "step": [], "byName": {}}
    document = json.loads(rich.codec(JsonOptions()).writer(rich.message("rich.Book"))(b""))
    assert document["i64"] == "0"
    assert document["pages"] == []
    assert document["labels"] == {}
    assert document["weight"] == 0
    absent = {"edition", "subtitle", "author", "url", "photo", "printed", "wInt", "value"}
    assert not absent & set(document)


def test_names_can_be_those_of_the_proto_file() -> None:
    options = JsonOptions(emit_unset=False, proto_names=True)
    write = rich.codec(options).writer(rich.message("rich.Book"))
    text = '{"co_authors":[{"birth_year":1}],"weights":[0.1],"w_float":0.1,"renamed":"x"}'
    assert write(rich.read(text)) == text.encode()


def test_enums_can_be_numbers() -> None:
    options = JsonOptions(emit_unset=False, enums_as_numbers=True)
    write = rich.codec(options).writer(rich.message("rich.Book"))
    assert write(rich.read('{"color":"BLUE","colors":["RED"]}')) == b'{"color":2,"colors":[1]}'


def test_output_can_be_indented() -> None:
    options = JsonOptions(emit_unset=False, pretty=True)
    codec = rich.codec(options)
    wire = rich.read('{"title":"é","pages":[1]}')
    assert codec.writer(rich.message("rich.Book"))(wire).decode() == (
        '{\n  "title": "é",\n  "pages": [\n    1\n  ]\n}'
    )
    field = rich.message("rich.Book").fields_by_name["pages"]
    assert codec.field_writer(field)(wire) == b"[\n  1\n]"


INDENTED = [
    pytest.param("{}", id="empty"),
    pytest.param('{"value":[{},[],"",null,true,1.5,[[{"a":[1]}]]]}', id="nested"),
    pytest.param(
        r'{"title":"\\\",{}[]: \"\u0000","tags":["\\","{"],"ratio":1e+300}', id="marks in texts"
    ),
    pytest.param('{"labels":{"a:b":"c,d","":"x"},"byYear":{"1":{}}}', id="maps"),
]


@pytest.mark.parametrize("text", INDENTED)
def test_indented_output_is_the_other_with_spaces(text: str) -> None:
    codec = rich.codec(JsonOptions(emit_unset=False, pretty=True))
    wire = rich.read(text)
    document = json.loads(rich.write(wire))
    expected = json.dumps(document, indent=2, ensure_ascii=False)
    assert codec.writer(rich.message("rich.Book"))(wire).decode() == expected


def test_indented_output_has_the_same_digits() -> None:
    codec = rich.codec(JsonOptions(emit_unset=False, pretty=True))
    wire = rich.read('{"ratio":-0.0,"weight":16777216,"value":-0}')
    assert codec.writer(rich.message("rich.Book"))(wire) == (
        b'{\n  "ratio": -0,\n  "weight": 16777216,\n  "value": -0\n}'
    )


IGNORED = [
    pytest.param('{"zz":1,"i32":1}', '{"i32":1}', id="at the top"),
    pytest.param('{"author":{"zz":{"a":[]},"name":"A"}}', '{"author":{"name":"A"}}', id="below"),
    pytest.param('{"coAuthors":[{"zz":1}]}', '{"coAuthors":[{}]}', id="in a list"),
    pytest.param('{"parts":{"a":{"zz":1}}}', '{"parts":{"a":{}}}', id="in a map"),
    pytest.param(
        f'{{"any":{{"@type":"{TYPES}/rich.Author","zz":1}}}}',
        f'{{"any":{{"@type":"{TYPES}/rich.Author"}}}}',
        id="in an Any",
    ),
    pytest.param('{"zz":1,"i64":"9007199254740993.0"}', '{"i64":"9007199254740993"}', id="repair"),
]


@pytest.mark.parametrize(("body", "text"), IGNORED)
@pytest.mark.parametrize("unknown", [Unknown.IGNORE, ("zz",)], ids=["all", "listed"])
def test_unknown_members_can_be_ignored(
    body: str, text: str, unknown: Unknown | tuple[str, ...]
) -> None:
    read = rich.codec(JsonOptions(unknown_fields=unknown)).reader(rich.message("rich.Book"))
    assert rich.write(read(body.encode())) == text


@pytest.mark.parametrize(
    ("unknown", "body", "field"),
    [
        pytest.param(("aa",), '{"zz":1}', "zz", id="a name that is not listed"),
        pytest.param(("zz",), '{"zz":1,"color":"NOPE"}', "color", id="an enum's name"),
        pytest.param(("zz",), '{"colors":["RED","NOPE"]}', "colors[1]", id="in a list"),
        pytest.param(Unknown.IGNORE, '{"color":1.5}', "color", id="no enum's number"),
        pytest.param(Unknown.IGNORE, '{"color":true}', "color", id="no enum's name"),
        pytest.param(Unknown.IGNORE, '{"zz":1,"i32":"+1"}', "i32", id="a number"),
    ],
)
def test_ignoring_members_ignores_nothing_else(
    unknown: Unknown | tuple[str, ...], body: str, field: str
) -> None:
    read = rich.codec(JsonOptions(unknown_fields=unknown)).reader(rich.message("rich.Book"))
    with pytest.raises(StatusError) as refused:
        read(body.encode())
    assert refused.value.message.startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        pytest.param('{"color":"NOPE","i32":1}', '{"i32":1}', id="alone"),
        pytest.param('{"colors":["RED","NOPE","BLUE"]}', '{"colors":["RED","BLUE"]}', id="list"),
        pytest.param(
            '{"byFlag":{"true":"RED","false":"NOPE"}}', '{"byFlag":{"true":"RED"}}', id="map"
        ),
        pytest.param('{"paint":"NOPE","photo":"x"}', '{"photo":"x"}', id="a oneof's other member"),
        pytest.param('{"parts":{"k":{"color":"NOPE"}}}', '{"parts":{"k":{}}}', id="below a map"),
        pytest.param('{"nothing":"NOPE"}', "{}", id="NullValue"),
        pytest.param(
            f'{{"any":{{"@type":"{TYPES}/rich.Book","color":"NOPE","i32":1}}}}',
            f'{{"any":{{"@type":"{TYPES}/rich.Book","i32":1}}}}',
            id="in an Any",
        ),
    ],
)
def test_unknown_names_of_an_enum_are_left_out_where_the_unknown_is_ignored(
    body: str, kept: str
) -> None:
    book = rich.message("rich.Book")
    codec = rich.codec(JsonOptions(unknown_fields=Unknown.IGNORE))
    assert codec.reader(book)(body.encode()) == rich.read(kept)


@pytest.mark.parametrize(
    ("field", "body", "kept"),
    [("color", '"NOPE"', "{}"), ("colors", '["NOPE","RED"]', '{"colors":["RED"]}')],
)
def test_so_they_are_in_the_body_of_a_field(field: str, body: str, kept: str) -> None:
    codec = rich.codec(JsonOptions(unknown_fields=Unknown.IGNORE))
    read = codec.field_reader(rich.message("rich.Book").fields_by_name[field])
    assert read(body.encode()) == rich.read(kept)


FIELDS = [
    pytest.param("rich.Book", "author", '{"name":"A"}', id="a message"),
    pytest.param("rich.Book", "pages", "[1,2]", id="a list"),
    pytest.param("rich.Book", "weights", "[0.1]", id="a list of floats"),
    pytest.param("rich.Book", "weight", "0.1", id="a float"),
    pytest.param("rich.Book", "co_authors", '[{"name":"A"}]', id="a list of messages"),
    pytest.param("rich.Book", "labels", '{"k":"v"}', id="a map"),
    pytest.param("rich.Book", "by_year", '{"1":{"name":"A"}}', id="a map of messages"),
    pytest.param("rich.Book", "by_flag", '{"true":"RED"}', id="a map of enums"),
    pytest.param("rich.Book", "shares", '{"a":0.1}', id="a map of floats"),
    pytest.param("rich.Book", "title", '"a\\"b"', id="a string"),
    pytest.param("rich.Book", "i64", '"5"', id="a number"),
    pytest.param("rich.Book", "color", '"RED"', id="an enum"),
    pytest.param("rich.Book", "url", '""', id="a oneof's member"),
    pytest.param("rich.Book", "edition", "0", id="an optional field"),
    pytest.param("rich.Book", "printed", '"2024-01-01T00:00:00Z"', id="a timestamp"),
    pytest.param("rich.Book", "mask", '"a.bC"', id="a field mask"),
    pytest.param("rich.Book", "value", "null", id="a value that is null"),
    pytest.param("rich.Book", "extra", '{"a":5}', id="a struct"),
    pytest.param("rich.Book", "values", "[null,5]", id="a list of values"),
    pytest.param("rich.Book", "w_int", "0", id="a wrapper"),
    pytest.param("rich.Book", "w_float", "0.1", id="a float in a wrapper"),
    pytest.param("rich.Book", "parts", '{"a":{"i32":1}}', id="a map of its own type"),
    pytest.param("old.Job", "detail", '{"depth":1}', id="a group"),
    pytest.param("old.Job", "step", '[{"text":"a"},{}]', id="a list of groups"),
    pytest.param("old.Job", "mode", '"FAST"', id="a closed enum"),
    pytest.param("modern.Node", "child", '{"explicit":1}', id="a delimited message"),
    pytest.param("modern.Node", "spread", "[1,2]", id="an expanded list"),
]


@pytest.mark.parametrize(("name", "field", "text"), FIELDS)
def test_a_field_alone_reads_and_writes_as_in_its_message(name: str, field: str, text: str) -> None:
    descriptor = rich.message(name).fields_by_name[field]
    wire = rich.codec().field_reader(descriptor)(text.encode())
    assert wire == rich.read(f'{{"{field}":{text}}}', name)
    others = rich.read('{"title":"other"}') if name == "rich.Book" and field != "title" else b""
    assert rich.codec().field_writer(descriptor)(others + wire).decode() == text


@pytest.mark.parametrize("field", ["author", "pages", "labels", "title", "w_int", "any", "shelf"])
def test_null_for_a_field_alone_unsets_it(field: str) -> None:
    descriptor = rich.message("rich.Book").fields_by_name[field]
    assert rich.codec().field_reader(descriptor)(b" null ") == b""


UNSET = [
    pytest.param("rich.Book", "author", "{}", id="a message"),
    pytest.param("rich.Book", "extra", "{}", id="a struct"),
    pytest.param("rich.Book", "any", "{}", id="an Any"),
    pytest.param("rich.Book", "printed", "null", id="a timestamp"),
    pytest.param("rich.Book", "value", "null", id="a value"),
    pytest.param("rich.Book", "w_int", "null", id="a wrapper"),
    pytest.param("rich.Book", "list", "[]", id="a list value"),
    pytest.param("rich.Book", "mask", '""', id="a field mask"),
    pytest.param("rich.Book", "pages", "[]", id="a list"),
    pytest.param("rich.Book", "labels", "{}", id="a map"),
    pytest.param("rich.Book", "i32", "0", id="a number"),
    pytest.param("rich.Book", "i64", '"0"', id="a wide number"),
    pytest.param("rich.Book", "on", "false", id="a bool"),
    pytest.param("rich.Book", "title", '""', id="a string"),
    pytest.param("rich.Book", "data", '""', id="bytes"),
    pytest.param("rich.Book", "color", '"NONE"', id="an enum"),
    pytest.param("rich.Book", "null", "null", id="a null value"),
    pytest.param("rich.Book", "edition", "0", id="an optional field"),
    pytest.param("old.Job", "name", '"none"', id="a declared default"),
    pytest.param("old.Job", "mode", '"SLOW"', id="a declared enum"),
    pytest.param("old.Job", "limit", '"7"', id="a declared wide number"),
    pytest.param("old.Job", "key", '"YWI="', id="declared bytes"),
    pytest.param("old.Job", "rate", '"Infinity"', id="a declared infinity"),
    pytest.param("old.Job", "active", "true", id="a declared bool"),
]


@pytest.mark.parametrize(("name", "field", "text"), UNSET)
@pytest.mark.parametrize("emit_unset", [True, False])
def test_a_field_alone_that_is_not_set_has_its_default(
    name: str, field: str, text: str, *, emit_unset: bool
) -> None:
    codec = rich.codec(JsonOptions(emit_unset=emit_unset))
    write = codec.field_writer(rich.message(name).fields_by_name[field])
    assert write(b"").decode() == text


INJECTIONS = [
    '[],"i32":1',
    '[],"pages":[1]',
    '[],"value":[1]',
    '[],"v":[1]',
    "[]}{",
    "[]} ",
    "[],",
    "[]]",
    "",
    " ",
    "[] []",
    "[1",
    '"',
]


@pytest.mark.parametrize("body", INJECTIONS)
def test_the_body_of_a_field_cannot_reach_beyond_the_field(body: str) -> None:
    read = rich.codec().field_reader(rich.message("rich.Book").fields_by_name["pages"])
    with pytest.raises(StatusError) as refused:
        read(body.encode())
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.message.startswith("the body is not valid JSON: line 1 column ")


FIELD_ERRORS = [
    pytest.param("author", '{"birthYear":"x"}', "author.birthYear", id="below a message"),
    pytest.param("pages", '[1,"+1"]', "pages[1]", id="a list's item"),
    pytest.param("wide_pages", "[9223372036854775808]", "widePages[0]", id="a JSON name"),
    pytest.param("labels", '{"k":1}', 'labels["k"]', id="a map's value"),
    pytest.param("i64", "9223372036854775808", "i64", id="a bare number"),
    pytest.param("title", "5", "title", id="a scalar"),
    pytest.param("mask", '"a..b"', "mask", id="a field mask"),
    pytest.param("masks", '["a..b"]', "masks[0]", id="a list of field masks"),
    pytest.param("url", "1", "url", id="a oneof's member"),
]


@pytest.mark.parametrize(("field", "body", "path"), FIELD_ERRORS)
def test_errors_in_a_field_alone_start_with_its_name(field: str, body: str, path: str) -> None:
    read = rich.codec().field_reader(rich.message("rich.Book").fields_by_name[field])
    with pytest.raises(StatusError) as refused:
        read(body.encode())
    assert refused.value.message.startswith(f"{path}: ")


UNPRINTABLE = [
    pytest.param(b"\xff", "the back end's rich.Book is malformed", id="not a message"),
    pytest.param(length_delimited(14, b"\xff"), "the back end's rich.Book is malformed", id="text"),
    pytest.param(
        length_delimited(39, tag(1, 0) + signed_varint(-(1 << 60))),
        "google.protobuf.Timestamp is outside the years 1 to 9999",
        id="a timestamp",
    ),
    pytest.param(
        holding("loan", duration_pb2.Duration(seconds=1, nanos=-1)),
        "google.protobuf.Duration is out of range or has parts of different signs",
        id="a duration",
    ),
    pytest.param(
        holding("value", struct_pb2.Value(number_value=float("nan"))),
        "google.protobuf.Value holds a number that is not finite",
        id="a value",
    ),
    pytest.param(
        holding("values", struct_pb2.Value()),
        "google.protobuf.Value has no value",
        id="an empty value",
    ),
    pytest.param(
        length_delimited(41, length_delimited(1, b"field_1")),
        'google.protobuf.FieldMask holds the path "field_1", which lowerCamelCase cannot spell',
        id="a field mask",
    ),
    pytest.param(
        holding("any", any_pb2.Any(type_url="x.com/no.Such")),
        'google.protobuf.Any holds the unknown type "x.com/no.Such"',
        id="an Any of an unknown type",
    ),
    pytest.param(
        holding("any", any_pb2.Any(type_url="x.com/rich.Author", value=b"\xff")),
        "google.protobuf.Any holds a malformed rich.Author",
        id="an Any of the wrong type",
    ),
    pytest.param(
        holding(
            "any",
            any_pb2.Any(
                type_url="x.com/google.protobuf.Timestamp",
                value=timestamp_pb2.Timestamp(seconds=1 << 60).SerializeToString(),
            ),
        ),
        "google.protobuf.Timestamp is outside the years 1 to 9999",
        id="a bad message in an Any",
    ),
    pytest.param(
        length_delimited(61, length_delimited(2, tag(1, 0) + signed_varint(1 << 60))),
        "google.protobuf.Duration is out of range or has parts of different signs",
        id="in a map",
    ),
]


@pytest.mark.parametrize(("wire", "why"), UNPRINTABLE)
def test_what_cannot_be_shown_is_an_internal_error_that_says_why(wire: bytes, why: str) -> None:
    with pytest.raises(StatusError) as failed:
        rich.write(wire)
    assert failed.value.code is Code.INTERNAL
    prefix = "" if why.startswith("the back end") else "rich.Book cannot be shown as JSON: "
    assert failed.value.message == prefix + why


def test_a_reply_nested_too_deep_is_an_internal_error() -> None:
    wire = b""
    for _ in range(150):
        wire = length_delimited(3, wire)
    with pytest.raises(StatusError) as failed:
        rich.write(wire, "rich.Author")
    assert failed.value.code is Code.INTERNAL


def test_error_details_are_known_even_to_a_schema_without_them() -> None:
    info = error_details_pb2.ErrorInfo(reason="R", domain="d", metadata={"k": "v"})
    codec = Codec(descriptor_pool(descriptor_set(a='syntax = "proto3";')), JsonOptions())
    url = f"{TYPES}/google.rpc.ErrorInfo"
    assert codec.any_to_json(url, info.SerializeToString()) == {
        "@type": url,
        "reason": "R",
        "domain": "d",
        "metadata": {"k": "v"},
    }


@pytest.mark.parametrize(
    ("url", "value", "found"),
    [
        pytest.param("x/no.Such", b"ab", {"value": "YWI="}, id="a type nobody knows"),
        pytest.param("x/rich.Author", b"\xff", {"value": "/w=="}, id="bytes of no message"),
        pytest.param("", b"", {"value": ""}, id="nothing at all"),
        pytest.param("x/rich.Book.LabelsEntry", b"", {"value": ""}, id="a map's entry"),
        pytest.param("x/google.protobuf.Duration", b"\x08\x01", {"value": "1s"}, id="well known"),
        pytest.param("a/b/rich.Author", b"\x0a\x01A", {"name": "A"}, id="a long prefix"),
    ],
)
def test_any_details_always_become_an_object(
    url: str, value: bytes, found: dict[str, object]
) -> None:
    assert rich.codec().any_to_json(url, value) == {"@type": url, **found}


def test_any_may_hold_types_that_no_request_mentions() -> None:
    text = f'{{"any":{{"@type":"{TYPES}/old.Job","id":1,"[old.priority]":2}}}}'
    assert rich.write(rich.read(text)) == text


def test_types_without_json_names_get_them() -> None:
    files = descriptor_set(bare='syntax = "proto3"; message M { int32 some_thing = 1; }')
    for field in files.file[0].message_type[0].field:
        field.ClearField("json_name")
    pool = descriptor_pool(files)
    codec = Codec(pool, JsonOptions())
    message = pool.FindMessageTypeByName("M")
    assert codec.writer(message)(codec.reader(message)(b'{"someThing":5}')) == b'{"someThing":5}'


NAMES = """
syntax = "proto2";
message M {
  optional string size = 1 [json_name = "größe😀", default = "süß😀"];
  map<string, string> words = 2 [json_name = "Wörter"];
}
"""


@pytest.mark.parametrize("choice", ["python", "native"])
@pytest.mark.parametrize("pretty", [False, True])
def test_text_outside_ascii_stays_as_it_is(
    choice: str, pretty: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    if choice == "native" and native_module() is None:
        pytest.skip("the native codec is not built: make native")
    monkeypatch.setenv(VARIABLE, choice)
    pool = descriptor_pool(descriptor_set(names=NAMES))
    codec, kind = Codec(pool, JsonOptions(pretty=pretty)), pool.FindMessageTypeByName("M")
    document = {"größe😀": "\x85é\u20ac😀" * 20_000, "Wörter": {"ключ": "значение", "é": "\xa0"}}
    wire = codec.reader(kind)(json.dumps(document).encode())
    text = codec.writer(kind)(wire)
    assert json.loads(text) == document
    assert b"\\u" not in text
    assert json.loads(codec.field_writer(kind.fields_by_name["size"])(b"")) == "süß😀"


def test_a_body_that_is_a_well_known_type_is_read_and_written() -> None:
    for name, text in {
        "google.protobuf.Struct": '{"a":5}',
        "google.protobuf.Value": "null",
        "google.protobuf.Timestamp": '"2024-01-01T00:00:00Z"',
        "google.protobuf.FloatValue": "0.1",
        "google.protobuf.Empty": "{}",
        "google.protobuf.Any": f'{{"@type":"{TYPES}/rich.Author","name":"A"}}',
    }.items():
        assert rich.write(rich.read(text, name), name) == text


def test_of_a_schema_only_the_types_in_use_get_plans() -> None:
    codec = Codec(rich.pool(), JsonOptions())
    codec.reader(rich.message("rich.Plain"))(b"{}")
    assert "rich.Plain" in codec._plans._plans
    assert "rich.Book" not in codec._plans._plans


def test_a_map_reads_alike_whether_its_field_or_its_message_was_asked_for_first() -> None:
    field = rich.message("rich.Book").fields_by_name["by_year"]
    codec = Codec(rich.pool(), JsonOptions())
    alone = codec.field_reader(field)(b'{"1":{}}')
    assert codec.reader(rich.message("rich.Book"))(b'{"byYear":{"1":{}}}') == alone
