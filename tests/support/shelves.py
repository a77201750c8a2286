"""A small library with a rule of every shape: how the rules of one schema are served."""

from functools import cache
from typing import Any

from google.protobuf.descriptor import Descriptor
from google.protobuf.message_factory import GetMessageClass

from gateway.config.model import Config
from gateway.schema.catalog import Schema, build_schema
from gateway.transcoding.binding import Binding
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.schema import descriptor_set

PROTO = """
syntax = "proto3";
package shelves.v1;
import "google/api/annotations.proto";
import "google/api/httpbody.proto";

message Book { string name = 1; string title = 2; int32 pages = 3; repeated string tags = 4; }
message Change { string name = 1; Book book = 2; bool dry_run = 3; }
message Upload { string name = 1; google.api.HttpBody file = 2; }
message Pages { repeated google.api.HttpBody pages = 1; google.api.HttpBody cover = 2; }

service Shelves {
  rpc GetBook(Book) returns (Book) {
    option (google.api.http) = {
      get: "/v1/{name=books/*}"
      additional_bindings { get: "/v1/{name=books/*}/title" response_body: "title" }
      additional_bindings { get: "/v1/{name=books/*}/tags" response_body: "tags" }
    };
  }
  rpc PutBook(Book) returns (Book) {
    option (google.api.http) = {put: "/v1/{name=books/*}" body: "*"};
  }
  rpc ChangeBook(Change) returns (Change) {
    option (google.api.http) = {
      patch: "/v1/{name=books/*}" body: "book" response_body: "book"
    };
  }
  rpc PutFile(Upload) returns (google.api.HttpBody) {
    option (google.api.http) = {put: "/v1/{name=files/*}" body: "file"};
  }
  rpc GetPages(Book) returns (Pages) {
    option (google.api.http) = {
      get: "/v1/{name=pages/*}" response_body: "pages"
      additional_bindings { get: "/v1/{name=pages/*}/cover" response_body: "cover" }
    };
  }
  rpc Watch(Book) returns (stream Book) { option (google.api.http) = {get: "/v1/watch"}; }
  rpc Fetch(Book) returns (stream google.api.HttpBody) {
    option (google.api.http) = {get: "/v1/fetch"};
  }
  rpc AddBooks(stream Book) returns (Book) {
    option (google.api.http) = {post: "/v1/{name=books/*}:add" body: "*"};
  }
}
"""


@cache
def schema() -> Schema:
    """The schema of `PROTO`."""
    return build_schema(descriptor_set(shelves=PROTO))


def transcoder(**settings: Any) -> Transcoder:
    """Its transcoder with these settings."""
    return build_transcoder(Config.model_validate(settings), schema())


@cache
def bindings() -> dict[str, Binding]:
    """Its bindings by HTTP method and template, as in `GET /v1/watch`."""
    return {f"{one.http_method} {one.rule.template}": one for one in transcoder().bindings}


def _descriptor(name: str) -> Descriptor:
    return schema().pool.FindMessageTypeByName(name if "." in name else f"shelves.v1.{name}")


def wire(name: str, /, **fields: Any) -> bytes:
    """The wire bytes of a message."""
    message: bytes = GetMessageClass(_descriptor(name))(**fields).SerializeToString()
    return message


def parsed(name: str, data: bytes) -> Any:
    """A message read from its wire bytes."""
    return GetMessageClass(_descriptor(name)).FromString(data)
