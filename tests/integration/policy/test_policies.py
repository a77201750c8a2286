"""Policies from the start: what keeps a gateway from serving, and what it says of itself."""

from pathlib import Path

import pytest
from aiohttp import ClientSession
from google.api import annotations_pb2
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from gateway.app.schema_loading import load_schema
from gateway.config.model import Config
from gateway.policy.effective import effective_policies
from gateway.policy.options import PolicyError
from gateway.upstream.pool import open_pool
from gen.echo.v1 import echo_pb2
from tests.support.command_line import run as gateway
from tests.support.http import echo_gateway
from tests.support.rate_limits import rate_limit
from tests.support.servers import library_server

LIBRARY = ("--module", "gen.library.v1")
ECHO = ("--module", "gen.echo.v1")


async def test_without_any_credential_everything_is_open_with_one_warning() -> None:
    policies = [{"selector": "*", "scopes": {"all": ["write"]}}]
    async with echo_gateway(policies=policies) as running:
        about = [line for line in running.warnings if "may call everything" in line]
        assert len(about) == 1


async def test_where_no_kind_of_credential_is_taken_in_the_end_nothing_is_open() -> None:
    auth = {"store": "memory:", "order": ["jwt"]}
    async with (
        echo_gateway(auth=auth) as running,
        ClientSession(running.url) as session,
        session.get("/v1/echo/hello") as answer,
    ):
        assert answer.status == 401


async def test_a_selector_that_selects_nothing_keeps_it_from_serving() -> None:
    with pytest.raises(PolicyError, match=r"no method is called echo\.v1\.EchoServic\.Echo"):
        async with echo_gateway(policies=[{"selector": "echo.v1.EchoServic.Echo", "cost": 2}]):
            pass


async def test_a_method_without_a_policy_keeps_it_from_serving_where_one_is_required() -> None:
    with pytest.raises(PolicyError, match=r"echo\.v1\.EchoService\.Echo .* has no policy"):
        async with echo_gateway(require_policy=True):
            pass
    every = [{"selector": "echo.v1.*", "anonymous": True}]
    async with echo_gateway(require_policy=True, policies=every) as running:
        assert running.transcoder.bindings


async def test_a_route_by_the_name_gRPC_knows_asks_what_its_method_asks(tmp_path: Path) -> None:
    files = FileDescriptorSet()
    echo_pb2.DESCRIPTOR.CopyToProto(files.file.add())
    for method in files.file[0].service[0].method:
        method.options.ClearExtension(annotations_pb2.http)
    bare = tmp_path / "bare.binpb"
    bare.write_bytes(files.SerializeToString())
    opened = echo_gateway(
        modules=[],
        descriptors=[bare],
        routing={"unannotated": True},
        auth={"store": "memory:"},
        policies=[{"selector": "echo.v1.EchoService.Fail", "anonymous": True}],
    )
    async with opened as running, ClientSession(running.url) as session:
        for name, status in {"Echo": 401, "Repeat": 401, "Fail": 404}.items():
            path = f"/echo.v1.EchoService/{name}"
            async with session.post(path, json={"code": 5} if name == "Fail" else {}) as answer:
                assert answer.status == status, name


async def test_a_server_that_is_asked_by_reflection_says_its_policies() -> None:
    async with library_server() as address:
        config = Config.model_validate(
            {"upstreams": {"library": {"target": address}}, "reflect": True}
        )
        async with open_pool(config.upstreams) as pool:
            schema, _ = await load_schema(config, pool)
    policies = effective_policies(schema, ())
    policy = policies[schema.methods["library.v1.LibraryService.DeleteShelf"]]
    assert policy.scopes_all == {"books.write"}
    assert policy.rate_limits == (rate_limit(30, 60.0),)


async def test_a_policys_time_ends_a_call_that_asks_for_more() -> None:
    policies = [{"selector": "echo.v1.EchoService.Sleep", "timeout_s": 0.1}]
    async with echo_gateway(policies=policies) as running, ClientSession(running.url) as session:
        headers = {"Grpc-Timeout": "20S"}
        async with session.get("/v1/echo:sleep?duration=10s", headers=headers) as answer:
            assert answer.status == 504


def test_check_names_every_method_without_a_policy() -> None:
    done = gateway("check", *ECHO, GATEWAY_REQUIRE_POLICY="true")
    assert done.returncode == 1
    missing = [line for line in done.stdout.splitlines() if "has no policy" in line]
    assert len(missing) == 5
    assert missing[0].startswith("error: echo.v1.EchoService.Echo (echo/v1/echo.proto")
    assert done.stdout.splitlines()[-1].endswith("5 errors, 0 warnings")
    assert gateway("check", *LIBRARY, GATEWAY_REQUIRE_POLICY="true").returncode == 0


def test_routes_shows_the_policy_of_each() -> None:
    done = gateway("routes", *LIBRARY)
    (line,) = [line for line in done.stdout.splitlines() if "DeleteShelf" in line]
    assert line.rstrip().endswith("scopes books.write; 30/60s by principal")
