"""Query parameters set fields, and nothing that the path or the body sets."""

from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message_factory import GetMessageClass

from gateway.config.query import QueryOptions
from gateway.status import Code, StatusError
from gateway.transcoding.fields import resolve
from gateway.transcoding.query import QueryBinder
from tests.support.schema import descriptor_pool, descriptor_set

POOL = descriptor_pool(
    descriptor_set(
        query="""
syntax = "proto3";
package query;
import "google/protobuf/empty.proto";
import "google/protobuf/field_mask.proto";
import "google/protobuf/timestamp.proto";
import "google/protobuf/wrappers.proto";
enum Kind { UNSET = 0; BIG = 1; }
message Sub { string subfield = 1; Sub sub = 2; repeated int32 numbers = 3; }
message Request {
  string name = 1; int32 page_size = 2; string page_token = 3; repeated string tags = 4;
  Sub sub = 5; Kind kind = 6; repeated Kind kinds = 7; string custom = 8 [json_name = "pg"];
  oneof choice { string text = 9; int32 number = 10; Sub message = 11; }
  optional string note = 12; optional int32 count = 13; google.protobuf.Int32Value wrapped = 14;
  google.protobuf.FieldMask mask = 15; google.protobuf.Timestamp time = 16;
  map<string, int32> labels = 17; repeated Sub subs = 18; bytes data = 19; bool flag = 20;
  google.protobuf.Empty empty = 21; map<string, Sub> submap = 22; Sub book = 23;
  repeated google.protobuf.Timestamp times = 24;
}
"""
    )
)
REQUEST = POOL.FindMessageTypeByName("query.Request")


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


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", {}),
        ("page_size=2&sub.subfield=foo", {"pageSize": 2, "sub": {"subfield": "foo"}}),
        ("pageSize=2", {"pageSize": 2}),
        ("pg=1", {"pg": "1"}),
        ("custom=1", {"pg": "1"}),
        ("tags=A&tags=B", {"tags": ["A", "B"]}),
        ("tags=A", {"tags": ["A"]}),
        ("tags=A,B", {"tags": ["A,B"]}),
        ("kinds=BIG&kinds=0", {"kinds": ["BIG", "UNSET"]}),
        ("sub.numbers=1&sub.numbers=2", {"sub": {"numbers": [1, 2]}}),
        ("sub.sub.sub.subfield=x", {"sub": {"sub": {"sub": {"subfield": "x"}}}}),
        ("sub.subfield=x&sub.sub.subfield=y", {"sub": {"subfield": "x", "sub": {"subfield": "y"}}}),
        ("name=x+y%2Bz", {"name": "x y+z"}),
        ("name=%C3%A9", {"name": "é"}),
        ("name=é", {"name": "é"}),
        ("name=a=b", {"name": "a=b"}),
        ("name=a;b", {"name": "a;b"}),
        ("n%61me=x", {"name": "x"}),
        ("&&name=x&", {"name": "x"}),
        ("note", {"note": ""}),
        ("note=", {"note": ""}),
        ("count=0", {"count": 0}),
        ("wrapped=0", {"wrapped": 0}),
        ("mask=a.bC,d", {"mask": "a.bC,d"}),
        ("time=2024-01-01T00:00:00%2B01:00", {"time": "2023-12-31T23:00:00Z"}),
        ("times=2024-01-01T00:00:00Z", {"times": ["2024-01-01T00:00:00Z"]}),
        ("data=_-8", {"data": "/+8="}),
        ("text=a", {"text": "a"}),
        ("message.subfield=a&message.numbers=1", {"message": {"subfield": "a", "numbers": [1]}}),
        ("empty", {"empty": {}}),
    ],
)
def test_parameters_set_fields(query: str, message: object) -> None:
    assert bind(query) == message


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("nope=1", "nope: no such query parameter"),
        ("sub.nope=1", "sub.nope: no such query parameter"),
        ("tags[]=1", "tags[]: no such query parameter"),
        ("name.x=1", "name.x: no such query parameter"),
        (".name=1", "no such query parameter"),
        ("=1", "no such query parameter"),
        ("page_size=1&page_size=2", "page_size: is given twice"),
        ("page_size=1&pageSize=2", "pageSize: is given twice"),
        ("page_size=x", 'page_size: expected an int32, got "x"'),
        ("count=", "count: expected an int32"),
        ("flag=1", "flag: expected true or false"),
        ("kind=SMALL", "kind: expected a value of Kind"),
        ("text=a&number=1", "number: another member of the oneof choice is set already"),
        ("message.subfield=a&number=1", "number: another member of the oneof"),
        ("sub=x", "sub: is a message: set its fields, such as sub.subfield"),
        ("subs=x", "subs: a list of messages cannot be set"),
        ("subs.subfield=x", "subs.subfield: no such query parameter"),
        ("labels=x", "labels: a map cannot be set"),
        ("labels[a]=1", "labels[a]: a map cannot be set"),
        ("labels.a=1", "labels.a: a map cannot be set"),
        ("name=%zz", "name: a % must be followed"),
        ("name=%ff", "is not UTF-8"),
        ("%ff=x", "is not UTF-8"),
        ("empty=1", "empty: expected no value"),
        ("sub." * 1000 + "subfield=x", "has more than 32 steps"),
        ("&".join(["tags=x"] * 1001), "more than 1000 query parameters"),
    ],
)
def test_a_bad_parameter_is_named(query: str, says: str) -> None:
    with pytest.raises(StatusError) as raised:
        bind(query)
    assert raised.value.code is Code.INVALID_ARGUMENT
    assert says in raised.value.message


@pytest.mark.parametrize(
    ("settings", "query", "says"),
    [
        ({"bound": ("name",)}, "name=x", "name: is set by the path"),
        ({"bound": ("page_size",)}, "pageSize=1", "pageSize: is set by the path"),
        ({"bound": ("sub.subfield",)}, "sub.subfield=x", "is set by the path"),
        ({"bound": ("text",)}, "number=1", "another member of the oneof"),
        ({"body": "book"}, "book.subfield=x", "belongs in the body, which is book"),
        ({"body": "text"}, "number=1", "another member of the oneof"),
        ({"body": "*"}, "page_size=1", "belongs in the body, which has all fields"),
        ({"body": "*"}, "nope=1", "no such query parameter"),
    ],
)
def test_what_path_or_body_set_stays(settings: dict[str, Any], query: str, says: str) -> None:
    with pytest.raises(StatusError) as raised:
        bind(query, **settings)
    assert says in raised.value.message


def test_beside_a_body_field_the_query_sets_the_rest() -> None:
    assert bind("mask=title", body="book") == {"mask": "title"}
    assert bind("sub.sub.subfield=x", bound=("sub.subfield",)) == {
        "sub": {"sub": {"subfield": "x"}}
    }


@pytest.mark.parametrize("policy", ["ignore", ["utm_source", "sub.nope"]])
def test_unknown_parameters_are_ignored_where_the_policy_says_so(policy: object) -> None:
    query = "utm_source=x&page_size=1&sub.nope=2"
    assert bind(query, unknown=policy) == {"pageSize": 1}


def test_a_list_of_names_to_ignore_takes_no_other() -> None:
    with pytest.raises(StatusError, match="ref: no such query parameter"):
        bind("ref=1", unknown=["utm_source"])


def test_maps_with_scalar_values_are_set_where_allowed() -> None:
    assert bind("labels[a]=1&labels[b.c]=2", maps=True) == {"labels": {"a": 1, "b.c": 2}}
    with pytest.raises(StatusError, match="a map of messages"):
        bind("submap[a]=1", maps=True)


def test_numeric_bools_are_read_where_allowed() -> None:
    assert bind("flag=1", numeric_bools=True) == {"flag": True}


def test_parameters_are_remembered_only_up_to_a_bound() -> None:
    subject = binder(unknown="ignore")
    subject.bind("&".join(f"x{i}=1" for i in range(199)))
    assert subject._known == {}


def test_a_query_can_be_explained() -> None:
    explained = binder().explain("pageSize=2&sub.subfield=x")
    assert [(name, value, path.text) for name, value, path in explained] == [
        ("pageSize", "2", "page_size"),
        ("sub.subfield", "x", "sub.subfield"),
    ]
