"""Asking real servers for their descriptors, in both versions of the protocol."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from grpc_reflection.v1alpha.reflection_pb2 import (
    ServerReflectionRequest,
    ServerReflectionResponse,
)

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.config.upstreams import ChannelKind, Upstream
from gateway.schema.catalog import SchemaError, build_schema
from gateway.schema.sources import DescriptorFiles
from gateway.upstream import reflection
from gateway.upstream.pool import CHANNELS
from gateway.upstream.reflection import Reflected, ReflectionError, reflect
from tests.support.machine_code import alternatives
from tests.support.polling import until
from tests.support.reflection import (
    V1,
    V1ALPHA,
    answering,
    from_grpcio,
    one_file_at_a_time,
    reflecting,
)
from tests.support.schema import descriptor_set

BOOKS = "library.v1.Books"
SHELVES = "library.v1.Shelves"
SERVICES = (BOOKS, SHELVES)
TOOLING = (V1, V1ALPHA, "grpc.health.v1.Health", "grpc.channelz.v1.Channelz")

Ask = Callable[..., Any]


@pytest.fixture(scope="module")
def files() -> FileDescriptorSet:
    """Two services that share an import, which has imports of its own."""
    return descriptor_set(
        **{
            "library/v1/types": """
                syntax = "proto3"; package library.v1;
                import "google/protobuf/timestamp.proto";
                message Book { string name = 1; google.protobuf.Timestamp printed = 2; }
            """,
            "library/v1/books": """
                syntax = "proto3"; package library.v1;
                import "google/api/annotations.proto"; import "library/v1/types.proto";
                service Books {
                  rpc GetBook(Book) returns (Book) {
                    option (google.api.http) = { get: "/v1/{name=books/*}" };
                  }
                }
            """,
            "library/v1/shelves": """
                syntax = "proto3"; package library.v1;
                import "library/v1/types.proto";
                service Shelves { rpc Watch(stream Book) returns (stream Book); }
            """,
        }
    )


@pytest.fixture(params=alternatives(ChannelKind.HTTP2, ChannelKind.GRPCIO), ids=str)
def ask(request: pytest.FixtureRequest) -> Ask:
    async def ask(target: str, **settings: Any) -> Reflected:
        channel = CHANNELS[request.param]("library", Upstream(target=target))
        try:
            return await reflect("library", channel, **settings)
        finally:
            await channel.close()
            # Asking leaves nothing running.
            await until(lambda: not [1 for task in asyncio.all_tasks() if "_send" in repr(task)])

    return ask


def names(reflected: Reflected) -> list[str]:
    return sorted(FileDescriptorProto.FromString(file).name for file in reflected.files)


@pytest.mark.parametrize(
    "offered",
    [
        pytest.param((V1,), id="v1 alone"),
        pytest.param((V1ALPHA,), id="v1alpha alone"),
        pytest.param((V1, V1ALPHA), id="both"),
    ],
)
@pytest.mark.parametrize("server", [from_grpcio, one_file_at_a_time])
async def test_services_and_all_their_files_are_found(
    ask: Ask, files: FileDescriptorSet, server: Any, offered: tuple[str, ...]
) -> None:
    async with reflecting(dict.fromkeys(offered, server(files, SERVICES))) as target:
        reflected = await ask(target)
    assert sorted(reflected.services) == sorted(SERVICES)
    assert names(reflected) == sorted(file.name for file in files.file)


async def test_v1_is_preferred(ask: Ask, files: FileDescriptorSet) -> None:
    talks = {V1ALPHA: from_grpcio(files, [SHELVES]), V1: from_grpcio(files, [BOOKS])}
    async with reflecting(talks) as target:
        assert (await ask(target)).services == (BOOKS,)


async def test_what_is_found_builds_a_schema(ask: Ask, files: FileDescriptorSet) -> None:
    async with reflecting({V1: one_file_at_a_time(files, SERVICES)}) as target:
        reflected = await ask(target)
    schema = build_schema(collected(reflected))
    assert sorted(schema.methods) == [f"{BOOKS}.GetBook", f"{SHELVES}.Watch"]
    (rule,) = schema.methods[f"{BOOKS}.GetBook"].rules
    assert (rule.http_method, rule.template) == ("GET", "/v1/{name=books/*}")
    assert schema.methods[f"{SHELVES}.Watch"].kind == "bidi"


def collected(reflected: Reflected) -> FileDescriptorSet:
    found = DescriptorFiles()
    found.add_serialized(reflected.files, "upstream library")
    return found.complete()


async def test_tooling_of_grpc_is_left_out(ask: Ask, files: FileDescriptorSet) -> None:
    async with reflecting({V1: one_file_at_a_time(files, (*TOOLING, *SERVICES))}) as target:
        reflected = await ask(target)
    assert reflected.services == SERVICES
    assert not [name for name in names(reflected) if name.startswith("grpc/")]


async def test_a_server_of_nothing_but_tooling_has_nothing(
    ask: Ask, files: FileDescriptorSet
) -> None:
    async with reflecting({V1: one_file_at_a_time(files, TOOLING)}) as target:
        assert await ask(target) == Reflected((), ())


async def test_well_known_files_a_server_leaves_out_are_filled_in(
    ask: Ask, files: FileDescriptorSet
) -> None:
    known = [file.name for file in files.file if file.name.startswith("google/")]
    assert len(known) >= 4
    async with reflecting({V1: one_file_at_a_time(files, SERVICES, lacking=known)}) as target:
        reflected = await ask(target)
    assert not set(names(reflected)) & set(known)
    schema = build_schema(collected(reflected))
    assert schema.methods[f"{BOOKS}.GetBook"].rules[0].template == "/v1/{name=books/*}"


async def test_any_other_file_a_server_leaves_out_is_named(
    ask: Ask, files: FileDescriptorSet
) -> None:
    talk = one_file_at_a_time(files, SERVICES, lacking=["library/v1/types.proto"])
    async with reflecting({V1: talk}) as target:
        reflected = await ask(target)
    with pytest.raises(SchemaError, match=r"imports library/v1/types\.proto, which is missing"):
        collected(reflected)


async def silent(requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
    async for _request in requests:
        await asyncio.sleep(30)
        yield ServerReflectionResponse()


async def ends_early(requests: AsyncIterator[Any], _: Any) -> AsyncIterator[Any]:
    nothing: list[ServerReflectionResponse] = []
    for answer in nothing:
        yield answer


def not_a_descriptor(request: ServerReflectionRequest) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    if request.list_services:
        response.list_services_response.service.add(name=BOOKS)
    else:
        response.file_descriptor_response.file_descriptor_proto.append(b"\xff\xff")
    return response


def describes_nothing(request: ServerReflectionRequest) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    if request.list_services:
        response.list_services_response.service.add(name=BOOKS)
    return response


def describes_others(request: ServerReflectionRequest) -> ServerReflectionResponse:
    response = describes_nothing(request)
    if not request.list_services:
        other = FileDescriptorProto(name="other.proto", package="library.v1")
        other.service.add(name="Others")
        response.file_descriptor_response.file_descriptor_proto.append(other.SerializeToString())
    return response


def lists_too_many(request: ServerReflectionRequest) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    for number in range(10_001):
        response.list_services_response.service.add(name=f"library.v1.Books{number}")
    return response


def imports_without_end(request: ServerReflectionRequest) -> ServerReflectionResponse:
    response = describes_nothing(request)
    if not request.list_services:
        name = request.file_by_filename or "0"
        file = FileDescriptorProto(name=name)
        file.dependency.extend(f"{name}/{number}" for number in range(30_000))
        response.file_descriptor_response.file_descriptor_proto.append(file.SerializeToString())
    return response


def answers_something_else(_: ServerReflectionRequest) -> ServerReflectionResponse:
    return ServerReflectionResponse()


def lists_nothing(_: ServerReflectionRequest) -> ServerReflectionResponse:
    response = ServerReflectionResponse()
    response.error_response.error_code = 7
    response.error_response.error_message = "go away"
    return response


@pytest.mark.parametrize(
    ("talk", "says"),
    [
        pytest.param(silent, "server reflection took longer than 0.5 s", id="silent"),
        pytest.param(
            ends_early, "server reflection failed: server reflection ended early", id="ends early"
        ),
        pytest.param(
            answering(not_a_descriptor), "its descriptors cannot be read", id="no descriptor"
        ),
        pytest.param(
            answering(lists_nothing),
            "server reflection failed: it does not list its services",
            id="refuses to list",
        ),
        pytest.param(
            answering(describes_nothing),
            f"server reflection failed: it lists {BOOKS} but does not describe it",
            id="describes nothing",
        ),
        pytest.param(
            answering(describes_others),
            f"server reflection failed: it lists {BOOKS} but does not describe it",
            id="describes others",
        ),
        pytest.param(
            answering(lists_too_many),
            "server reflection failed: it lists over 10000 services",
            id="lists too many",
        ),
        pytest.param(
            answering(imports_without_end),
            "server reflection failed: its files import over 50000 others",
            id="imports without end",
        ),
        pytest.param(
            answering(answers_something_else),
            "server reflection failed: it answers another question than was asked",
            id="answers something else",
        ),
    ],
)
async def test_a_server_that_answers_badly_is_named_with_what_is_wrong(
    ask: Ask, talk: Any, says: str
) -> None:
    async with reflecting({V1: talk}) as target:
        with pytest.raises(ReflectionError) as raised:
            await ask(target, timeout_s=0.5 if talk is silent else 10)
    assert str(raised.value) == f"upstream library: {says}"


async def test_a_service_that_is_listed_but_not_described_is_named(
    ask: Ask, files: FileDescriptorSet
) -> None:
    talk = one_file_at_a_time(files, SERVICES, lacking=["library/v1/books.proto"])
    async with reflecting({V1: talk}) as target:
        with pytest.raises(ReflectionError) as raised:
            await ask(target)
    assert str(raised.value) == (
        f"upstream library: server reflection failed: it lists {BOOKS} but cannot describe it"
    )


async def test_a_server_without_reflection_is_told_apart(ask: Ask) -> None:
    async with reflecting({}) as target:
        with pytest.raises(ReflectionError) as raised:
            await ask(target)
    assert str(raised.value) == (
        "upstream library: server reflection is not enabled there; "
        "enable it, or give descriptors or modules"
    )


async def test_a_server_that_is_not_there_is_unavailable(ask: Ask) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        with pytest.raises(ReflectionError, match=r"upstream library: .* is unavailable"):
            await ask(f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("limit", ["_MAX_BYTES", "_MAX_FILES"])
async def test_a_server_that_describes_too_much_is_refused(
    ask: Ask, files: FileDescriptorSet, monkeypatch: pytest.MonkeyPatch, limit: str
) -> None:
    monkeypatch.setattr(reflection, limit, 4)
    async with reflecting({V1: one_file_at_a_time(files, SERVICES)}) as target:
        with pytest.raises(ReflectionError, match=r"describes over|import over"):
            await ask(target)


@pytest.mark.parametrize(("canary", "is_taken"), [(SERVICES, True), ((SHELVES,), False)])
@pytest.mark.parametrize("weight", [1, 0])
async def test_a_split_needs_upstreams_that_serve_its_methods(
    files: FileDescriptorSet, canary: tuple[str, ...], is_taken: bool, weight: int
) -> None:
    async with (
        reflecting({V1: from_grpcio(files, SERVICES)}) as main,
        reflecting({V1: from_grpcio(files, canary)}) as other,
    ):
        arms = [{"upstream": "main"}, {"upstream": "canary", "weight": weight}]
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "reflect": True,
                "upstreams": {"main": {"target": main}, "canary": {"target": other}},
                "splits": [{"name": "canary", "selector": "library.v1.Books.*", "to": arms}],
            }
        )
        if is_taken or not weight:
            async with open_gateway(config):
                return
        wrong = r"splits\[0\]\.to\[1\]\.upstream: canary does not serve library\.v1\.Books: "
        with pytest.raises(ReflectionError, match=wrong):
            async with open_gateway(config):
                pass


@pytest.mark.parametrize("others", [SERVICES, (SHELVES,)])
@pytest.mark.parametrize(
    ("settings", "where"),
    [
        ({"mirrors": [{"to": "other", "selector": "library.v1.Books.*"}]}, r"mirrors\[0\]\.to"),
        ({"fallback": "other"}, r"upstreams\.main\.fallback"),
    ],
)
async def test_a_mirror_or_a_fallback_serves_what_may_go_there(
    files: FileDescriptorSet, others: tuple[str, ...], settings: dict[str, Any], where: str
) -> None:
    async with (
        reflecting({V1: from_grpcio(files, SERVICES)}) as main,
        reflecting({V1: from_grpcio(files, others)}) as other,
    ):
        own = {"target": main, "fallback": settings.get("fallback")}
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "reflect": True,
                "upstreams": {"main": own, "other": {"target": other}},
                "mirrors": settings.get("mirrors", []),
            }
        )
        if others is SERVICES:
            async with open_gateway(config):
                return
        with pytest.raises(
            ReflectionError, match=f"{where}: other does not serve library.v1.Books"
        ):
            async with open_gateway(config):
                pass
