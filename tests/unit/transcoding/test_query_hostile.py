"""Queries made to confuse: clashes across nesting, hostile names, and memory that stays bounded."""

from itertools import product
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from gateway.config.query import QueryOptions
from gateway.status import Code, StatusError
from gateway.transcoding.fields import resolve
from gateway.transcoding.query import QueryBinder
from tests.support.growth import check_growth
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        edges="""
syntax = "proto3";
package edges;
import "google/protobuf/any.proto";
import "google/protobuf/empty.proto";
import "google/protobuf/struct.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { UNSET = 0; BIG = 1; }
message Sub {
  string name = 1; Sub sub = 2; oneof inner { string left = 3; Sub right = 4; }
  map<string, int32> labels = 5;
}
message Request {
  string name = 1; int32 page_size = 2; Sub sub = 3; Sub other = 4;
  oneof choice { string text = 5; Sub one = 6; Sub two = 7; google.protobuf.Empty none = 8; }
  optional string note = 9; optional int32 count = 10;
  map<string, int32> labels = 11; map<bool, Kind> kinds = 12; map<int64, string> names = 13;
  map<string, google.protobuf.Timestamp> times = 14; map<string, bytes> blobs = 15;
  google.protobuf.Struct struct = 16; google.protobuf.Any any = 17; google.protobuf.Value v = 18;
  google.protobuf.ListValue list = 19; google.protobuf.Timestamp time = 20;
  google.protobuf.Int32Value wrapped = 21; repeated google.protobuf.Value values = 22;
  repeated google.protobuf.StringValue strings = 23; repeated google.protobuf.Struct structs = 24;
  map<string, bool> flags = 25; repeated string tags = 26;
}
"""
    )
)
REQUEST = POOL.FindMessageTypeByName("edges.Request")


def binder(
    *, bound: tuple[str, ...] = (), body: str | None = None, **options: object
) -> QueryBinder:
    return QueryBinder(
        REQUEST,
        bound=[resolve(REQUEST, path) for path in bound],
        body=body if body in (None, "*") else REQUEST.fields_by_name[body],
        options=QueryOptions.model_validate(options),
    )


def bind(query: str, **settings: Any) -> object:
    message = GetMessageClass(REQUEST).FromString(binder(**settings).bind(query))
    return json_format.MessageToDict(message)


def refusal(query: str, **settings: Any) -> str:
    with pytest.raises(StatusError) as raised:
        binder(**settings).bind(query)
    assert raised.value.code is Code.INVALID_ARGUMENT
    return raised.value.message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("v=5&values=a&values=null", {"v": 5.0, "values": ["a", None]}),
        ("strings=&strings=b", {"strings": ["", "b"]}),
        ("one.name=a&one.sub.left=b", {"one": {"name": "a", "sub": {"left": "b"}}}),
        ("none", {"none": {}}),
        ("sub.left=a&other.right.left=", {"sub": {"left": "a"}, "other": {"right": {"left": ""}}}),
        ("note=a%00b", {"note": "a\0b"}),
        ("note=%F0%9F%98%80", {"note": "😀"}),
        ("note=%252B", {"note": "%2B"}),
        ("note=a%26b%3Dc", {"note": "a&b=c"}),
        ("n+ote=x&note=y", {"note": "y"}),
    ],
)  # fmt: skip
def test_parameters_that_look_like_trouble_are_none(query: str, message: object) -> None:
    assert bind(query, unknown=["n ote"]) == message


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("one.name=a&two.name=b", "two.name: another member of the oneof choice"),
        ("none&text=a", "text: another member of the oneof choice"),
        ("sub.left=a&sub.right.name=b", "sub.right.name: another member of the oneof inner"),
        ("one.left=a&one.right.left=b", "one.right.left: another member of the oneof inner"),
        ("note=a&note=b", "note: is given twice"),
        ("none&none", "none: is given twice"),
        ("time=2024-01-01T00:00:00Z&time.seconds=1", "time.seconds: no such query parameter"),
        ("wrapped.value=1", "wrapped.value: no such query parameter"),
        ("v.numberValue=1", "v.numberValue: no such query parameter"),
        ("struct={}", "struct: cannot be set by query parameters"),
        ("struct.fields=x", "struct.fields: no such query parameter"),
        ("any.typeUrl=x", "any.typeUrl: no such query parameter"),
        ("list=1", "list: cannot be set by query parameters"),
        ("structs=1", "structs: a list of messages cannot be set"),
        ("sub.sub=x", "sub.sub: is a message: set its fields, such as sub.sub.name"),
        ("labels[a]=1", "labels[a]: a map cannot be set"),
        ("sub.labels.a.b=1", "sub.labels.a.b: a map cannot be set"),
        ("tags[0]=1", "tags[0]: no such query parameter"),
        ("name[x]=1", "name[x]: no such query parameter"),
        ("name ", "name : no such query parameter"),
        ("NAME=x", "NAME: no such query parameter"),
    ],
)
def test_what_does_not_fit_is_named(query: str, says: str) -> None:
    assert says in refusal(query)


@pytest.mark.parametrize("query", ["sub=x", "labels[a]=1", "page_size=x", "name=a&name=b", "name"])
def test_ignoring_unknown_parameters_ignores_no_known_one(query: str) -> None:
    assert refusal(query, unknown="ignore", bound=("name",) if query == "name" else ())


@pytest.mark.parametrize(
    ("settings", "query", "says"),
    [
        ({"bound": ("one.name",)}, "two.name=x", "two.name: another member of the oneof choice"),
        ({"bound": ("one.name",)}, "one=x", "one: is set by the path of the URL"),
        ({"bound": ("sub.left",)}, "sub.right.name=x", "another member of the oneof inner"),
        ({"body": "one"}, "text=x", "text: another member of the oneof choice"),
        ({"body": "one"}, "one=x", "one: belongs in the body"),
        ({"body": "labels"}, "labels[a]=1", "labels[a]: belongs in the body"),
        ({"body": "*", "bound": ("name",)}, "name=x", "name: is set by the path of the URL"),
        ({"body": "*"}, "labels[a]=1", "labels[a]: belongs in the body"),
        ({"body": "*"}, "sub.name=1", "sub.name: belongs in the body"),
        ({"body": "*", "unknown": "ignore"}, "pageSize=1", "pageSize: belongs in the body"),
    ],
)
def test_path_and_body_decide_across_nesting(
    settings: dict[str, Any], query: str, says: str
) -> None:
    assert says in refusal(query, **settings)


@pytest.mark.parametrize(
    ("settings", "query", "message"),
    [
        ({"bound": ("one.name",)}, "one.left=x", {"one": {"left": "x"}}),
        ({"bound": ("sub.left",)}, "other.right.name=x", {"other": {"right": {"name": "x"}}}),
        ({"bound": ("note",)}, "count=0", {"count": 0}),
        ({"body": "one"}, "sub.left=x", {"sub": {"left": "x"}}),
        ({"body": "*", "unknown": "ignore"}, "nope=1", {}),
    ],
)
def test_what_neither_decides_is_free(
    settings: dict[str, Any], query: str, message: object
) -> None:
    assert bind(query, **settings) == message


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("kinds[true]=BIG&kinds[false]=0", {"kinds": {"true": "BIG", "false": "UNSET"}}),
        ("names[-1]=a&names%5B2%5D=b", {"names": {"-1": "a", "2": "b"}}),
        ("times[x]=2024-01-01T00:00:00Z", {"times": {"x": "2024-01-01T00:00:00Z"}}),
        ("sub.labels[a]=1&sub.labels[b]=0", {"sub": {"labels": {"a": 1, "b": 0}}}),
        ("labels[]=1&labels[[x]]=2", {"labels": {"": 1, "[x]": 2}}),
        ("labels[a.b]=1", {"labels": {"a.b": 1}}),
        ("flags[a]=true", {"flags": {"a": True}}),
    ],
)
def test_a_map_is_set_entry_by_entry_where_allowed(query: str, message: object) -> None:
    assert bind(query, maps=True) == message


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("labels[a]=1&labels[a]=2", "labels[a]: is given twice"),
        ("names[1]=a&names[1.0]=b", "names[1.0]: is given twice"),
        ("labels[a]=x", "labels[a]: expected an int32"),
        ("kinds[1]=BIG", "kinds[1]: expected true or false"),
        ("names[x]=a", "names[x]: expected an int64"),
        ("labels=1", "labels: is a map: write labels[key]=value"),
        ("labels.a=1", "labels.a: is a map: write labels[key]=value"),
        ("labels.a[b]=1", "labels.a[b]: no such query parameter"),
        ("labels[a].b=1", "labels[a].b: no such query parameter"),
        ("labels[a=1", "labels[a: no such query parameter"),
    ],
)
def test_a_map_entry_that_does_not_fit_is_named(query: str, says: str) -> None:
    assert says in refusal(query, maps=True)


@pytest.mark.parametrize(
    "name", ["sub." * 1000 + "name", "x." * 4000, "." * 5000, "labels." * 100 + "a"]
)
def test_depth_is_refused_whatever_the_policy(name: str) -> None:
    assert "has more than 32 steps" in refusal(f"{name}=1", unknown="ignore")


def test_a_deep_but_bounded_path_is_set() -> None:
    message = GetMessageClass(REQUEST).FromString(binder().bind("sub." * 31 + "name=x"))
    assert json_format.MessageToJson(message).count('"sub"') == 31


@pytest.mark.parametrize(
    "query",
    ["x" * 5000 + "=1", "a%0Ab=1", "%E2%80%AE=1", "\ud800=1", "labels[%0D%0A]=1", "x%00=%zz"],
)
def test_an_error_carries_no_more_of_a_name_than_is_fit_to_print(query: str) -> None:
    for maps in (False, True):
        message = refusal(query, maps=maps) if not (maps and "[" in query) else ""
        assert message.isprintable()
        assert len(message) < 150


@pytest.mark.parametrize("settings", [{"maps": True}, {"maps": True, "body": "labels"}])
def test_nor_of_the_key_of_a_map(settings: dict[str, Any]) -> None:
    message = refusal("labels[%0D%0A]=1&labels[%0D%0A]=1", **settings)
    assert message.startswith("labels[\ufffd\ufffd]: ")


@pytest.mark.parametrize("query", ["name=\ud800", "name=%41\ud800", "name=%ED%A0%80", "name=%C3"])
def test_no_value_is_other_than_unicode(query: str) -> None:
    assert refusal(query).startswith("name: is not UTF-8")


def test_empty_pieces_do_not_count_as_parameters() -> None:
    assert bind("&" * 500 + "name=x", max_parameters=1) == {"name": "x"}
    assert "more than 1 query parameters" in refusal("name=x&note=y", max_parameters=1)


def test_a_thousand_parameters_are_taken_without_a_setting() -> None:
    query = "&".join(f"tags=id{number}" for number in range(1000))
    assert bind(query) == {"tags": [f"id{number}" for number in range(1000)]}


@pytest.mark.slow
@pytest.mark.parametrize(
    "parameter",
    ["tags={}", "tags=%41+{}", "labels[k{}]=7", "sub.labels[k%20{}]=7", "nope{}=x"],
)
def test_many_parameters_take_time_in_proportion_to_their_number(parameter: str) -> None:
    small, large = (
        "&".join(parameter.format(number) for number in range(many)) for many in (2_000, 16_000)
    )
    subject = binder(maps=True, unknown="ignore", max_parameters=16_000)
    # In square time the larger would take 64 times as long.
    check_growth(subject.bind, small, large, times=24)


def test_what_is_remembered_stays_bounded_and_never_keeps_others_out() -> None:
    subject = binder(maps=True)
    for depth in range(31):
        subject.bind("sub." * depth + "name=x")
    for key in range(1000):
        subject.bind(f"labels[{key}]=1")
    assert len(subject._known) <= 5
    tops = ("sub", "other", "one", "two")
    middles = [m for size in range(4) for m in product(("sub", "right"), repeat=size)]
    names = [".".join([t, *m, last]) for t in tops for m in middles for last in ("name", "left")]
    names += ["name", "text", "v", "values", "strings", "tags", "count", "pageSize", "page_size"]
    assert len(names) > 128
    for name in names:
        subject.bind(f"{name}=1")
        assert len(subject._known) <= 128
    subject.bind("note=x")
    assert "note" in subject._known


def test_a_binder_keeps_nothing_from_one_query_to_the_next() -> None:
    subject = binder()
    assert subject.bind("text=a&page_size=1") == subject.bind("text=a&page_size=1")
    assert subject.bind("one.name=a") != b""


def test_explaining_names_path_and_value_and_refuses_what_binding_would() -> None:
    explained = binder(maps=True, unknown="ignore").explain("nope=1&pageSize=a+b&labels[k]=2")
    assert [(name, value, path.text) for name, value, path in explained] == [
        ("pageSize", "a b", "page_size"),
        ("labels[k]", "2", "labels"),
    ]
    with pytest.raises(StatusError, match="no such query parameter"):
        binder().explain("nope=1")
