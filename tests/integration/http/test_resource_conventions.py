"""Request ids and input-only fields, with a back end that fails first or sends a stream."""

import math
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
import pytest
from google.protobuf.message_factory import GetMessageClass

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.http import Answer, connected
from tests.support.schema import descriptor_pool, descriptor_set

FILES = descriptor_set(
    conventions="""
syntax = "proto3";
package conventions;
import "google/api/annotations.proto";
import "google/api/field_behavior.proto";
import "google/api/field_info.proto";
import "google/longrunning/operations_proto.proto";
message Item {
  string name = 1;
  string secret = 2 [(google.api.field_behavior) = INPUT_ONLY];
  string request_id = 3 [(google.api.field_info).format = UUID4];
  string etag = 4;
}
service Items {
  rpc Create(Item) returns (Item) {
    option idempotency_level = IDEMPOTENT;
    option (google.api.http) = { post: "/items" body: "*" };
  }
  rpc Get(Item) returns (Item) { option (google.api.http) = { get: "/items/{name}" }; }
  rpc Build(Item) returns (google.longrunning.Operation) {
    option (google.api.http) = { post: "/items:build" body: "*" };
    option (google.longrunning.operation_info) = {
      response_type: "Item" metadata_type: "google.longrunning.OperationInfo"
    };
  }
  rpc Watch(Item) returns (stream Item) { option (google.api.http) = { get: "/items" }; }
}
"""
)
POOL = descriptor_pool(FILES)
Item: Any = GetMessageClass(POOL.FindMessageTypeByName("conventions.Item"))
Operation: Any = GetMessageClass(POOL.FindMessageTypeByName("google.longrunning.Operation"))


class Backend:
    """Answers with what it was sent; fails the first calls as often as told."""

    def __init__(self) -> None:
        self.failures = 0
        self.seen: list[Any] = []
        self.polls_until_done: float = math.inf
        self.polled_by: list[str] = []

    async def one(self, request: bytes, context: Any) -> bytes:
        self.seen.append(Item.FromString(request))
        if self.failures:
            self.failures -= 1
            await context.abort(grpc.StatusCode.UNAVAILABLE, "as told")
        return request

    async def operation(self, request: bytes, _context: Any) -> bytes:
        """An operation of the name that was asked for."""
        wire: bytes = Operation(name=Item.FromString(request).name).SerializeToString()
        return wire

    async def polled(self, request: bytes, context: Any) -> bytes:
        """The operation of this name, which is done at its time."""
        self.polled_by.append(dict(context.invocation_metadata()).get("x-caller", ""))
        self.polls_until_done -= 1
        name = Item.FromString(request).name
        wire: bytes = Operation(name=name, done=self.polls_until_done <= 0).SerializeToString()
        return wire

    async def many(self, _request: bytes, _context: Any) -> AsyncIterator[bytes]:
        for name in ("a", "b"):
            yield Item(name=name, secret="s").SerializeToString()


@asynccontextmanager
async def serving(
    place: Path, policies: Sequence[Any] = (), **resources: Any
) -> AsyncIterator[tuple[Any, Backend]]:
    backend = Backend()
    server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
    methods: dict[str, Any] = {
        "Create": grpc.unary_unary_rpc_method_handler(backend.one),
        "Get": grpc.unary_unary_rpc_method_handler(backend.one),
        "Build": grpc.unary_unary_rpc_method_handler(backend.operation),
        "Watch": grpc.unary_stream_rpc_method_handler(backend.many),
    }
    get: dict[str, Any] = {"GetOperation": grpc.unary_unary_rpc_method_handler(backend.polled)}
    handlers = {"conventions.Items": methods, "google.longrunning.Operations": get}
    made = [grpc.method_handlers_generic_handler(name, own) for name, own in handlers.items()]
    server.add_generic_rpc_handlers(tuple(made))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    (place / "set.binpb").write_bytes(FILES.SerializeToString())
    settings = {
        "listen": "127.0.0.1:0",
        "descriptors": [place / "set.binpb"],
        "upstreams": {"backend": {"target": f"127.0.0.1:{port}", "retry_policy": {}}},
        "log": {"access": "off"},
        "resources": resources,
        "policies": policies,
        "openapi": {"enabled": True},
        "json": {"emit_unset": False},
    }
    try:
        async with (
            open_gateway(Config.model_validate(settings)) as gateway,
            connected(gateway) as client,
        ):
            yield client, backend
    finally:
        await server.stop(None)


async def asked(client: Any, line: str, body: str = "", *headers: str) -> Answer:
    lines = [f"{line} HTTP/1.1", "Host: test", f"Content-Length: {len(body)}", *headers]
    await client.send(("\r\n".join(lines) + "\r\n\r\n" + body).encode())
    answer: Answer = await client.answer()
    return answer


async def test_all_attempts_of_a_call_have_one_new_request_id(tmp_path: Path) -> None:
    async with serving(tmp_path, request_id="fill") as (client, backend):
        backend.failures = 1
        assert (await asked(client, "POST /items", '{"name": "a"}')).status == 200
        first, second = (item.request_id for item in backend.seen)
        assert first == second
        assert uuid.UUID(first).version == 4
        assert (await asked(client, "POST /items", '{"name": "a"}')).status == 200
        assert backend.seen[2].request_id != first


async def test_a_call_that_changes_nothing_gets_no_request_id(tmp_path: Path) -> None:
    async with serving(tmp_path, request_id="fill") as (client, backend):
        assert (await asked(client, "GET /items/a")).json() == {"name": "a"}
        assert [item.request_id for item in backend.seen] == [""]


@pytest.mark.parametrize(("setting", "shown"), [("drop", {}), ("leave", {"secret": "s"})])
async def test_each_message_of_a_stream_loses_what_only_clients_set(
    tmp_path: Path, setting: str, shown: dict[str, str]
) -> None:
    async with serving(tmp_path, input_only=setting) as (client, _):
        answer = await asked(client, "GET /items")
        lines = answer.body.decode().splitlines()
        assert len(lines) == 2
        assert all(('"secret":"s"' in line) == bool(shown) for line in lines)


async def test_an_operation_is_found_where_its_location_says(tmp_path: Path) -> None:
    async with serving(tmp_path, operations="accepted") as (client, _):
        begun = await asked(client, "POST /items:build", '{"name": "operations/a b"}')
        assert begun.status == 202
        location = begun.header("Operation-Location")
        assert location == "/v1/operations/a%20b"
        shown = await asked(client, f"GET {location}")
        assert (shown.status, shown.json()) == (200, {"name": "operations/a b"})
        other = await asked(client, "POST /items:build", '{"name": "jobs/7"}')
        assert (other.status, other.header("Operation-Location")) == (202, None)


BUILD = ("POST /items:build", '{"name": "operations/7"}')
DONE = {"name": "operations/7", "done": True}


@pytest.mark.parametrize(
    "prefer", ["wait=20", 'x="a, wait=0", Wait = "20"; a, wait=0', "a\r\nPrefer: wait=20"]
)
@pytest.mark.parametrize("operations", ["accepted", "unchanged"])
async def test_a_call_waits_for_its_operation_as_its_client_prefers(
    tmp_path: Path, operations: str, prefer: str
) -> None:
    async with serving(tmp_path, operations=operations, operation_wait_s=9) as (client, backend):
        backend.polls_until_done = 2
        answer = await asked(client, *BUILD, f"Prefer: {prefer}", "X-Caller: ada")
        assert (answer.status, answer.json()) == (200, DONE)
        assert answer.header("Preference-Applied") == "wait=9"
        assert answer.header("Operation-Location") is None
        assert backend.polled_by == ["ada", "ada"]


@pytest.mark.parametrize(
    ("longest_s", "asked_for"),
    [pytest.param(1, "60S", id="by setting"), pytest.param(99, "1900m", id="by its deadline")],
)
async def test_an_operation_that_is_not_done_in_time_is_answered_as_without_a_wait(
    tmp_path: Path, longest_s: int, asked_for: str
) -> None:
    resources: dict[str, Any] = {"operations": "accepted", "operation_wait_s": longest_s}
    async with serving(tmp_path, **resources) as (client, backend):
        answer = await asked(client, *BUILD, "Prefer: wait=100", f"Grpc-Timeout: {asked_for}")
        assert (answer.status, answer.json()) == (202, {"name": "operations/7"})
        assert answer.header("Preference-Applied") == "wait=1"
        assert answer.header("Operation-Location") == "/v1/operations/7"
        assert 1 < len(backend.polled_by) < 6, "each pause is twice as long as the one before"


@pytest.mark.parametrize(
    ("prefer", "settings"),
    [
        pytest.param("wait=9", {}, id="not without the setting"),
        pytest.param("respond-async", {"operation_wait_s": 9}, id="not for other preferences"),
        pytest.param("wait=-1, wait=soon", {"operation_wait_s": 9}, id="not for what is malformed"),
    ],
)
async def test_nothing_waits_for_an_operation(
    tmp_path: Path, prefer: str, settings: dict[str, Any]
) -> None:
    async with serving(tmp_path, **settings) as (client, backend):
        answer = await asked(client, *BUILD, f"Prefer: {prefer}")
        assert answer.json() == {"name": "operations/7"}
        assert answer.header("Preference-Applied") is None
        assert backend.polled_by == []


async def test_a_call_does_not_wait_for_what_no_route_shows(tmp_path: Path) -> None:
    async with serving(tmp_path, operation_wait_s=9) as (client, backend):
        answer = await asked(client, BUILD[0], '{"name": "jobs/7"}', "Prefer: wait=9")
        assert answer.json() == {"name": "jobs/7"}
        assert backend.polled_by == []


async def test_a_wait_is_guarded_as_the_calls_of_the_client_that_it_stands_for(
    tmp_path: Path,
) -> None:
    rate = {
        "selector": "google.longrunning.Operations.GetOperation",
        "rate_limits": [{"limit": 1, "window_s": 3600}],
    }
    async with serving(tmp_path, [rate], operation_wait_s=9) as (client, backend):
        answer = await asked(client, *BUILD, "Prefer: wait=9")
        assert (answer.status, answer.json()) == (200, {"name": "operations/7"})
        assert len(backend.polled_by) == 1, "the second is refused, and the wait ends"
        assert (await asked(client, "GET /v1/operations/7")).status == 429


@pytest.mark.parametrize(("setting", "statuses"), [("accepted", {"200", "202"}), (None, {"200"})])
async def test_the_types_of_an_operation_are_in_the_document(
    tmp_path: Path, setting: str | None, statuses: set[str]
) -> None:
    resources = {} if setting is None else {"operations": setting}
    async with serving(tmp_path, **resources) as (client, _):
        document = (await asked(client, "GET /openapi.json")).json()
        operation = document["paths"]["/items:build"]["post"]
        found = operation["x-operation-response"]
        (of_response,) = found["response"]["allOf"]
        assert of_response == {"$ref": "#/components/schemas/conventions.Item"}
        assert "OperationInfo" in found["metadata"]["allOf"][0]["$ref"]
        assert {one for one in operation["responses"] if one < "300"} == statuses


@pytest.mark.parametrize("longest_s", [0, 9])
async def test_the_preference_to_wait_is_in_the_document(tmp_path: Path, longest_s: int) -> None:
    async with serving(tmp_path, operations="accepted", operation_wait_s=longest_s) as (client, _):
        document = (await asked(client, "GET /openapi.json")).json()
        for path, shown in (("/items:build", longest_s > 0), ("/items", False)):
            operation = document["paths"][path]["post"]
            prefer = [one for one in operation.get("parameters", ()) if one["name"] == "Prefer"]
            assert len(prefer) == shown
            answered = operation["responses"]["200"].get("headers", {})
            assert ("Preference-Applied" in answered) == shown


@pytest.mark.parametrize(
    ("body", "headers", "says"),
    [
        ("{}", ['If-Match: "a", "b"'], "got 2 of them"),
        ("{}", ['If-Match: "a"', 'If-Match: "b"'], "got 2 of them"),
        ("{}", ["If-Match: abc"], "expected * or one entity tag"),
        ('{"etag": "other"}', ['If-Match: "abc"'], "differs from the etag in the request"),
    ],
)
async def test_a_condition_that_one_field_cannot_express_is_refused(
    tmp_path: Path, body: str, headers: list[str], says: str
) -> None:
    async with serving(tmp_path, etags="bare") as (client, backend):
        answer = await asked(client, "POST /items", body, *headers)
        assert answer.status == 400
        assert says in answer.json()["error"]["message"]
        assert backend.seen == []


async def test_a_condition_may_repeat_the_etag_of_the_request(tmp_path: Path) -> None:
    async with serving(tmp_path, etags="bare") as (client, backend):
        tags = ['If-Match: "abc", W/"def"', 'If-Match: "abc;gzip", "abc"']
        refused, taken = [
            await asked(client, "POST /items", '{"etag": "abc"}', tag) for tag in tags
        ]
        assert (refused.status, taken.status) == (400, 200)
        assert [item.etag for item in backend.seen] == ["abc"]
        assert taken.header("ETag") == 'W/"abc"'


async def test_a_condition_on_a_read_is_judged_and_not_passed_on(tmp_path: Path) -> None:
    async with serving(tmp_path, etags="quoted") as (client, backend):
        query = "/items/a?etag=%22abc%22"
        same = await asked(client, f"GET {query}", "", 'If-Match: "abc"')
        other = await asked(client, f"GET {query}", "", 'If-Match: "def"')
        assert (same.status, other.status) == (200, 412)
        assert [item.etag for item in backend.seen] == ['"abc"', '"abc"']
