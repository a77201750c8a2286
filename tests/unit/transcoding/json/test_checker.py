"""What a strict reader of ProtoJSON refuses, where, and in which words."""

import sys

import pytest
from google.rpc import error_details_pb2

from gateway.config.json import JsonOptions
from gateway.status import Code, StatusError
from gateway.transcoding.json.reading.failures import MAX_VIOLATIONS
from gateway.transcoding.json.reading.number import Number
from gateway.transcoding.json.text import deeper_than, parse
from tests.support import rich


def refusal(body: str | bytes, name: str = "rich.Book") -> str:
    """The message of the error a body meets."""
    with pytest.raises(StatusError) as refused:
        rich.read(body, name)
    assert refused.value.code is Code.INVALID_ARGUMENT
    assert refused.value.http_status == 400
    return refused.value.message


BAD_INTEGERS = [
    *(
        '"1_000"',
        '"+1"',
        '"01"',
        '"-01"',
        '"00"',
        '"1."',
        '".5e1"',
        '".5"',
        '"0x1"',
        '"1e"',
        '"e1"',
    ),
    *(
        '"1_0.0"',
        '"1__0"',
        '"_1"',
        '"1_"',
        '"+"',
        '"-"',
        '"--1"',
        '"-+1"',
        '"\\u0031_0"',
        '"1\\u002e"',
    ),
    *(
        '" 1"',
        '"1 "',
        '"\\t1"',
        '"\\n"',
        '""',
        '"١"',
        '"1١"',
        '"１"',
        '"\\u0661"',
        '"\\uff11"',
        '"𝟏"',
    ),
    *('"inf"', '"NaN"', '"1e400"', "1e400", "1.5", '"1.5"', '"1,0"', '"1 0"'),
    *("true", "false", "[]", "{}", "[1]", '"one"'),
]


@pytest.mark.parametrize("value", BAD_INTEGERS)
@pytest.mark.parametrize("field", ["i32", "i64", "u32", "u64", "s32", "f64", "wInt", "wWide"])
def test_an_integer_has_one_spelling(field: str, value: str) -> None:
    message = refusal(f'{{"{field}":{value}}}')
    assert message.startswith(f"{field}: expected a")


@pytest.mark.parametrize("value", BAD_INTEGERS)
def test_the_key_of_an_integer_map_has_it_too(value: str) -> None:
    if value.startswith('"'):
        assert refusal(f'{{"byYear":{{{value}:{{}}}}}}').startswith("byYear[")
        assert refusal(f'{{"byId":{{{value}:"x"}}}}').startswith("byId[")


@pytest.mark.parametrize("value", BAD_INTEGERS)
def test_so_has_each_item_of_a_list_and_each_value_of_a_map(value: str) -> None:
    assert refusal(f'{{"pages":[1,{value},2]}}').startswith("pages[1]: expected a")
    assert refusal(f'{{"counts":{{"}}":"1","k":{value}}}}}').startswith('counts["k"]: expected a')


RANGES = [
    ("i32", "2147483648"),
    ("i32", '"-2147483649"'),
    ("i32", "1e10"),
    ("u32", "-1"),
    ("u32", "4294967296"),
    ("i64", '"9223372036854775808"'),
    ("i64", "1e19"),
    ("u64", '"18446744073709551616"'),
    ("u64", '"-1"'),
    ("i64", '"1e30"'),
    ("sf32", '"3e9"'),
]


@pytest.mark.parametrize(("field", "value"), RANGES)
def test_an_integer_stays_in_its_range(field: str, value: str) -> None:
    assert refusal(f'{{"{field}":{value}}}').startswith(f"{field}: expected a number from ")


@pytest.mark.parametrize(
    ("value", "exact"),
    [
        ("9007199254740993", 9007199254740993),
        ("9007199254740993.0", 9007199254740993),
        ("-9007199254740993", -9007199254740993),
        ("9223372036854775807", 9223372036854775807),
        ("-9223372036854775808", -9223372036854775808),
        ("9223372036854775807.0", 9223372036854775807),
        ("1234567890123456789", 1234567890123456789),
        ("123456789012345e3", 123456789012345000),
        ("1.0000000000000001e16", 10000000000000001),
        ("0.9223372036854775807e19", 9223372036854775807),
    ],
)
@pytest.mark.parametrize("body", ['{{"i64":{}}}', '{{"widePages":[{}]}}', '{{"wWide": {}}}'])
def test_a_bare_integer_is_exact_beyond_what_a_double_holds(
    body: str, value: str, exact: int
) -> None:
    quoted = body.format(f'"{exact}"')
    assert rich.read(body.format(value)) == rich.read(quoted)


@pytest.mark.parametrize(
    "value", ["9007199254740993.5", "9223372036854775807.1", "0.1", "1e-1", "1e400"]
)
def test_a_number_that_is_no_integer_is_refused(value: str) -> None:
    assert refusal(f'{{"i64":{value}}}').startswith("i64: expected a whole number")


BAD_NUMBERS = [
    *('"1_0"', '" 1.5"', '"1.5 "', '"inf"', '"nan"', '"infinity"', '"+Infinity"', '"+1"', '"1."'),
    *('".5"', '"01"', '"1e"', '"0x1p3"', '""', '"\\u00311."', '"1.5\\u0065"', '"٣"'),
    *("true", "[]", "{}", "1e400", '"1e400"', "-1e400", f"1{'0' * 400}", f"1{'0' * 5000}"),
]


@pytest.mark.parametrize("value", BAD_NUMBERS)
@pytest.mark.parametrize("field", ["ratio", "weight", "wDouble", "wFloat"])
def test_a_number_has_one_spelling(field: str, value: str) -> None:
    assert refusal(f'{{"{field}":{value}}}').startswith(f"{field}: expected a number")


@pytest.mark.parametrize("value", ["3.5e38", "-3.5e38", '"3.5e38"', "3.4028236e38"])
def test_a_float_stays_in_its_range(value: str) -> None:
    assert refusal(f'{{"weight":{value}}}').startswith("weight: expected a number in range")


OTHER = [
    pytest.param('{"on":"true"}', "on", id="a bool in quotes"),
    pytest.param('{"on":1}', "on", id="a bool as a number"),
    pytest.param('{"title":5}', "title", id="a string without quotes"),
    pytest.param('{"title":[]}', "title", id="a string as a list"),
    pytest.param('{"data":"!!"}', "data", id="not base64"),
    pytest.param('{"data":"Y Q="}', "data", id="a space in base64"),
    pytest.param('{"data":"YQ\\n=="}', "data", id="a line break in base64"),
    pytest.param('{"data":"/-8"}', "data", id="both alphabets of base64"),
    pytest.param('{"data":"YQ="}', "data", id="half the padding"),
    pytest.param('{"data":"Y\\u0051="}', "data", id="half the padding, in escapes"),
    pytest.param('{"data":"Y"}', "data", id="too few characters of base64"),
    pytest.param('{"blobs":["YQ","YQ="]}', "blobs[1]", id="base64 in a list"),
    pytest.param('{"wBytes":"YQ="}', "wBytes", id="base64 in a wrapper"),
    pytest.param('{"color":"1"}', "color", id="an enum's number in quotes"),
    pytest.param('{"color":"-0"}', "color", id="minus zero in quotes"),
    pytest.param('{"color":"red"}', "color", id="an enum's name in another case"),
    pytest.param('{"color":"NOPE"}', "color", id="no name of the enum"),
    pytest.param('{"color":1.5}', "color", id="an enum's number that is not whole"),
    pytest.param('{"color":1e400}', "color", id="an enum's number with a large exponent"),
    pytest.param('{"color":true}', "color", id="an enum as a bool"),
    pytest.param('{"color":2147483648}', "color", id="an enum beyond 32 bits"),
    pytest.param('{"color":99999999999999999999999}', "color", id="an enum far beyond"),
    pytest.param('{"colors":["RED",-2147483649]}', "colors[1]", id="an enum in a list"),
    pytest.param('{"byFlag":{"true":9999999999}}', 'byFlag["true"]', id="an enum in a map"),
    pytest.param('{"byFlag":{"TRUE":"RED"}}', 'byFlag["TRUE"]', id="a bool key in upper case"),
    pytest.param('{"byFlag":{"1":"RED"}}', 'byFlag["1"]', id="a bool key as a number"),
    pytest.param('{"author":[]}', "author", id="a message as a list"),
    pytest.param('{"author":"x"}', "author", id="a message as a string"),
    pytest.param('{"pages":{}}', "pages", id="a list as an object"),
    pytest.param('{"pages":1}', "pages", id="a list as its item"),
    pytest.param('{"labels":[]}', "labels", id="a map as a list"),
    pytest.param('{"pages":[1,null]}', "pages[1]", id="null in a list"),
    pytest.param('{"coAuthors":[null]}', "coAuthors[0]", id="null in a list of messages"),
    pytest.param('{"labels":{"k":null}}', 'labels["k"]', id="null as a map's value"),
    pytest.param('{"printed":5}', "printed", id="a timestamp as a number"),
    pytest.param('{"printed":"2024-01-01t00:00:00z"}', "printed", id="lower-case t and z"),
    pytest.param('{"printed":"0000-01-01T00:00:00Z"}', "printed", id="year 0"),
    pytest.param('{"printed":"10000-01-01T00:00:00Z"}', "printed", id="year 10000"),
    pytest.param('{"printed":"2024-02-30T00:00:00Z"}', "printed", id="a day that is not"),
    pytest.param('{"printed":"2024-01-01T00:00:00"}', "printed", id="no offset"),
    pytest.param('{"printed":"2024-01-01T00:00:00.1234567891Z"}', "printed", id="ten decimals"),
    pytest.param('{"printed":"0001-01-01T00:00:00+01:00"}', "printed", id="before year 1 in UTC"),
    pytest.param('{"loan":"1h"}', "loan", id="a duration in hours"),
    pytest.param('{"loan":"5.s"}', "loan", id="a duration with nothing behind the point"),
    pytest.param('{"loan":"\\u0035.s"}', "loan", id="the same in escapes"),
    pytest.param('{"loan":"1.0000000001s"}', "loan", id="a duration with ten decimals"),
    pytest.param('{"loan":"315576000001s"}', "loan", id="a duration over the limit"),
    pytest.param('{"loan":"-315576000001.5s"}', "loan", id="a duration a little over the limit"),
    pytest.param('{"loans":{"k":"5.s"}}', 'loans["k"]', id="a duration in a map"),
    pytest.param('{"mask":"a, b"}', "mask", id="a space in a field mask"),
    pytest.param('{"mask":"a_b"}', "mask", id="a field mask in snake case"),
    pytest.param('{"mask":"a..b"}', "mask", id="an empty step in a field mask"),
    pytest.param('{"mask":"a,"}', "mask", id="an empty path in a field mask"),
    pytest.param('{"mask":"a\\u002c"}', "mask", id="an empty path in escapes"),
    pytest.param('{"m\\u0061sk":"a,"}', "mask", id="a field mask under a name in escapes"),
    pytest.param('{"mask":"é"}', "mask", id="a letter no field has"),
    pytest.param('{"masks":["a","a,"]}', "masks[1]", id="a field mask in a list"),
    pytest.param('{"masksBy":{"k":"a,"}}', 'masksBy["k"]', id="a field mask in a map"),
    pytest.param('{"extra":[]}', "extra", id="a struct as a list"),
    pytest.param('{"list":{}}', "list", id="a list value as an object"),
    pytest.param('{"value":1e400}', "value", id="a number too large for a value"),
    pytest.param('{"value":[1,{"a":1E0400}]}', "value[1].a", id="the same deep inside"),
    pytest.param(f'{{"extra":{{"a":1{"0" * 400}}}}}', "extra.a", id="the same without exponent"),
    pytest.param('{"null":"X"}', "null", id="no null value"),
    pytest.param('{"empty":{"a":1}}', "empty.a", id="a member of Empty"),
    pytest.param('{"wInt":{"value":1}}', "wInt", id="a wrapper as an object"),
    pytest.param('{"zz":1}', "zz", id="an unknown member"),
    pytest.param('{"author":{"zz":1}}', "author.zz", id="an unknown member below"),
    pytest.param('{"birthYear":1}', "birthYear", id="a member of another message"),
    pytest.param('{"[old.priority]":1}', "[old.priority]", id="an extension of another message"),
    pytest.param('{"labels":{},"[x.y]":1}', "[x.y]", id="an extension nobody knows"),
    pytest.param('{"any":{"a":1}}', "any.@type", id="an Any without its type"),
    pytest.param('{"any":{"@type":"rich.Author"}}', "any.@type", id="a type without a host"),
    pytest.param('{"any":{"@typ\\u0065":"rich.Author"}}', "any.@type", id="the same in escapes"),
    pytest.param('{"any":{"@type":"x/no.Such"}}', "any.@type", id="an unknown type"),
    pytest.param('{"any":{"@type":5}}', "any.@type", id="a type that is no string"),
    pytest.param('{"any":{"@type":"x/rich.Author","zz":1}}', "any.zz", id="an Any's member"),
    pytest.param(
        '{"any":{"@type":"x/rich.Author","birthYear":"01"}}', "any.birthYear", id="in an Any"
    ),
    pytest.param(
        '{"any":{"@type":"x/google.protobuf.Duration","value":"5.s"}}', "any.value", id="WKT"
    ),
    pytest.param('{"any":{"@type":"x/google.protobuf.Duration"}}', "any.value", id="no value"),
    pytest.param(
        '{"any":{"@type":"x/google.protobuf.Duration","value":"5s","a":1}}', "any.a", id="beside"
    ),
    pytest.param('{"any":[]}', "any", id="an Any as a list"),
]


@pytest.mark.parametrize(("body", "field"), OTHER)
def test_each_bad_value_is_named_with_its_path(body: str, field: str) -> None:
    assert refusal(body).startswith(f"{field}: ")


TWICE = [
    pytest.param('{"i32":1,"i32":2}', "i32", id="a number"),
    pytest.param('{"i32":null,"i32":2}', "i32", id="once as null"),
    pytest.param('{"pages":[1],"pages":[2]}', "pages", id="a list"),
    pytest.param('{"renamed":"a","pg":"b"}', "pg", id="in both spellings"),
    pytest.param('{"co_authors":[{}],"coAuthors":[]}', "coAuthors", id="a list in both spellings"),
    pytest.param('{"i32":1,"\\u0069\\u0033\\u0032":1}', "i32", id="once in escapes"),
    pytest.param('{"author":{"name":"a","name":"b"}}', "author.name", id="below a message"),
    pytest.param('{"labels":{"k":"a","k":"a"}}', 'labels["k"]', id="a key of a map"),
    pytest.param('{"labels":{"":"a","":"a"}}', 'labels[""]', id="an empty key"),
    pytest.param('{"byYear":{"1":{},"1.0":{}}}', 'byYear["1.0"]', id="a key in another spelling"),
    pytest.param('{"byFlag":{"true":0,"true":0}}', 'byFlag["true"]', id="a boolean key"),
    pytest.param('{"extra":{"a":1,"a":2}}', "extra.a", id="in a struct"),
    pytest.param('{"value":[{"a":1,"a":2}]}', "value[0].a", id="in a value"),
    pytest.param(
        '{"any":{"@type":"x/rich.Author","@type":"x/rich.Author"}}', "any.@type", id="a type"
    ),
    pytest.param(
        '{"any":{"@type":"x/google.protobuf.Duration","value":"1s","value":"1s"}}',
        "any.value",
        id="the value of an Any",
    ),
]


@pytest.mark.parametrize(("body", "field"), TWICE)
def test_a_member_stands_once(body: str, field: str) -> None:
    assert refusal(body) == f"{field}: set twice"


ONEOFS = [
    pytest.param(
        '{"url":"x","shelf":1}', "shelf: cannot be set together with url", id="two members"
    ),
    pytest.param(
        '{"url":"x","donor":{}}', "donor: cannot be set together with url", id="a message"
    ),
    pytest.param(
        '{"url":"","nothing":null}', "nothing: cannot be set together with url", id="a null"
    ),
    pytest.param('{"url":"x","url":"y"}', "url: set twice", id="one member twice"),
    pytest.param('{"donor":{"name":"A"},"donor":{}}', "donor: set twice", id="a message twice"),
    pytest.param(
        '{"url":"x","\\u0073helf":1}', "shelf: cannot be set together with url", id="escapes"
    ),
    pytest.param(
        '{"url" :"x","shelf"\n: 1}', "shelf: cannot be set together with url", id="white space"
    ),
    pytest.param(
        '{"parts":{"url":{},"a":{"url":"x","shelf":1}}}',
        'parts["a"].shelf: cannot be set together with url',
        id="below",
    ),
    pytest.param(
        '{"any":{"@type":"x/rich.Book","url":"x","shelf":1}}',
        "any.shelf: cannot be set together with url",
        id="in an Any",
    ),
]


@pytest.mark.parametrize(("body", "message"), ONEOFS)
def test_a_oneof_takes_one_member(body: str, message: str) -> None:
    assert refusal(body) == message


@pytest.mark.parametrize(
    "body",
    [
        pytest.param('{"url":"x","photo":"y"}', id="members of two oneofs"),
        pytest.param('{"url":"x","parts":{"a":{"shelf":1}}}', id="members in two messages"),
        pytest.param('{"extra":{"url":1,"shelf":1}}', id="names in a struct"),
        pytest.param('{"labels":{"url":"1","shelf":"1"}}', id="keys of a map"),
        pytest.param('{"title":"\\"url\\": \\"shelf\\":","url":"\\"shelf\\":"}', id="in a string"),
    ],
)
def test_names_of_a_oneof_may_stand_apart(body: str) -> None:
    assert rich.read(body)


@pytest.mark.parametrize(
    ("name", "body", "field"),
    [
        pytest.param("old.Job", '{"mode":5}', "mode", id="a number a closed enum lacks"),
        pytest.param("old.Job", '{"modes":["OFF",5]}', "modes[1]", id="in a list"),
        pytest.param("old.Job", '{"byName":{"k":5}}', 'byName["k"]', id="in a map"),
        pytest.param("old.Job", '{"Detail":{}}', "Detail", id="a group by its type's name"),
        pytest.param("old.Job", '{"[old.priority]":"+1"}', "[old.priority]", id="an extension"),
        pytest.param("old.Job", '{"[old.sizes]":["01"]}', "[old.sizes][0]", id="a list of them"),
        pytest.param("old.Job", '{"[old.none]":1}', "[old.none]", id="an unknown extension"),
        pytest.param("old.Job", '{"[other.extra]":1}', "[other.extra]", id="of another message"),
        pytest.param("old.Job", '{"\\u005bother.extra]":1}', "[other.extra]", id="in escapes"),
        pytest.param("old.Job", '{"priority":1}', "priority", id="an extension without brackets"),
        pytest.param("modern.Node", '{"closed":5}', "closed", id="a closed enum of an edition"),
        pytest.param("modern.Node", '{"child":{"must":"01"}}', "child.must", id="delimited"),
    ],
)
def test_the_other_syntaxes_are_as_strict(name: str, body: str, field: str) -> None:
    assert refusal(body, name).startswith(f"{field}: ")


@pytest.mark.parametrize(
    ("body", "got"),
    [("[]", "an array"), ("null", "null"), ("5", "5"), ('"x"', '"x"'), ("true", "true")],
)
def test_a_message_is_an_object(body: str, got: str) -> None:
    assert refusal(body) == f"expected an object, got {got}"


# Python 3.13 points at the comma, older ones at what follows it.
TRAILING_COMMA = "line 1 column 9" if sys.version_info >= (3, 13) else "line 1 column 10"
SYNTAX = [
    pytest.param('{"i32":1}x', "line 1 column 10", id="text behind"),
    pytest.param('{"i32":1}{}', "line 1 column 10", id="a second document"),
    pytest.param('{"i32":1,}', TRAILING_COMMA, id="a trailing comma"),
    pytest.param('{\n "i32": 01}', "line 2 column 10", id="a leading zero"),
    pytest.param("{i32:1}", "line 1 column 2", id="a name without quotes"),
    pytest.param("{'i32':1}", "line 1 column 2", id="single quotes"),
    pytest.param('{"i32":1}//', "line 1 column 10", id="a comment"),
    pytest.param('{"title":"\\x"}', "line 1 column 11", id="no such escape"),
    pytest.param('{"title":"a\tb"}', "line 1 column 12", id="a control character"),
    pytest.param('{"title":"a', "line 1 column 10", id="cut off"),
    pytest.param("", "line 1 column 1", id="nothing"),
    pytest.param("\ufeff{}", "line 1 column 1", id="a byte order mark"),
    pytest.param('{"ratio":NaN}', "NaN without quotes", id="a bare NaN"),
    pytest.param('{"value":-Infinity}', "-Infinity without quotes", id="a bare infinity"),
    pytest.param('{"title":"\\ud800"}', "half of a surrogate pair at line 1 column 11", id="half"),
    pytest.param(
        '{"title":"\\\\ud83d\\udE00"}', "half of a surrogate pair at line 1 column 18", id="second"
    ),
    pytest.param(
        '{"labels":{"\\uDBFF":""}}', "half of a surrogate pair at line 1 column 13", id="in a key"
    ),
]


@pytest.mark.parametrize(("body", "where"), SYNTAX)
def test_what_is_not_json_is_refused_with_the_place(body: str, where: str) -> None:
    assert refusal(body) == f"the body is not valid JSON: {where}"


def test_what_is_not_utf8_is_refused_with_the_byte() -> None:
    assert refusal(b'{"title":"\xff"}') == "the body is not UTF-8 text: byte 10"
    assert refusal("{}".encode("utf-16")).startswith("the body is not ")


@pytest.mark.parametrize("opening", ['{"mentor":', '{"mentor":{"mentor":'])
@pytest.mark.parametrize("times", [101, 5_000, 200_000])
def test_deep_nesting_is_refused_in_short(opening: str, times: int) -> None:
    assert refusal(opening * times, "rich.Author") == "the body is nested deeper than 100 levels"


def test_the_limit_of_depth_counts_levels_and_not_brackets() -> None:
    read = rich.codec(JsonOptions(), 4).reader(rich.message("rich.Book"))
    assert read(b'{"parts":{"a":{"pages":[1]},"b":{"pages":[]}},"tags":["[[[[[", "{{{"]}')
    with pytest.raises(StatusError, match="nested deeper than 4 levels"):
        read(b'{"extra":{"a":{"b":[[]]}},"tags":["]]]]]]", "}}}}"]}')
    with pytest.raises(StatusError, match="nested deeper than 1 levels"):
        rich.codec(JsonOptions(), 1).reader(rich.message("rich.Plain"))(b'{"tags":[]}')


def test_nesting_that_only_protobuf_cannot_hold_is_refused() -> None:
    assert refusal('{"list":' + "[" * 80 + "]" * 80 + "}") == (
        "the body is nested too deep: its messages have more than 100 levels"
    )


def test_every_bad_field_is_reported_at_once() -> None:
    body = '{"i32":"x","author":{"birthYear":true,"zz":1},"pages":[1,"y"],"labels":{"k\\n":5}}'
    with pytest.raises(StatusError) as refused:
        rich.read(body)
    detail = error_details_pb2.BadRequest()
    assert refused.value.details[0].Unpack(detail)
    assert [(v.field, v.description) for v in detail.field_violations] == [
        ("i32", 'expected an integer, got "x"'),
        ("author.birthYear", "expected an integer, got true"),
        ("author.zz", "no such field"),
        ("pages[1]", 'expected an integer, got "y"'),
        ('labels["k\N{REPLACEMENT CHARACTER}"]', "expected a string, got 5"),
    ]


def test_reports_are_bounded() -> None:
    with pytest.raises(StatusError) as refused:
        rich.read('{"pages":[' + ",".join(['"x"'] * 1000) + "]}")
    assert refused.value.message.count("expected") == MAX_VIOLATIONS
    long = "n" * 10_000
    assert len(refusal(f'{{"{long}":1}}')) < 100
    assert len(refusal(f'{{"i32":"{long}"}}')) < 100


def test_errors_leak_neither_schema_nor_library() -> None:
    message = refusal('{"zz":1,"i32":"","u32":-1,"title":5}')
    assert "author" not in message
    assert "rich." not in message
    assert not {"ValueError", "Python", "class", "<", "None"} & set(
        message.replace("'", " ").split()
    )


def test_a_tree_keeps_what_text_says() -> None:
    text = '{"a":1,"a":2.50,"b":[true,null,"\\u00e9",{}],"c":1e400,"d":-0}'
    assert parse(text.encode(), depth=9) == (
        ("a", 1),
        ("a", Number("2.50")),
        ("b", [True, None, "é", ()]),
        ("c", Number("1e400")),
        ("d", Number("-0")),
    )


@pytest.mark.parametrize(
    ("body", "depth"),
    [
        (b"1", 0),
        (b"[]", 1),
        (b"[{}]", 2),
        (b'["[[[","\\"[[",{"a":"\\\\"},[]]', 2),
        (b"[[],[[]],[]]", 3),
        (b'[["', 2),
    ],
)
def test_depth_is_measured_outside_strings(body: bytes, depth: int) -> None:
    assert not deeper_than(body, depth)
    assert depth == 0 or deeper_than(body, depth - 1)
