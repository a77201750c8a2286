"""`gateway check` refuses what `gateway serve` refuses, in the same words, and leaves no trace."""

import asyncio
import json
import socket
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch

import pytest
import trustme

from services import echo
from services.serving import serve
from tests.support.annotated import OPENAPIV2
from tests.support.command_line import Done, run
from tests.support.redis_server import free_port, redis_server
from tests.support.schema import descriptor_set
from tests.support.tls import Files

ECHO: dict[str, Any] = {
    "modules": ["gen.echo.v1"],
    "upstreams": {"echo": {"target": "127.0.0.1:1"}},
    "listen": "127.0.0.1:0",
}


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def command(name: str, folder: Path, settings: dict[str, Any], *flags: str) -> Done:
    file = folder / "gateway.yaml"
    file.write_text(json.dumps(ECHO | settings))
    return run(name, "--config", str(file), *flags)


def refused_alike(folder: Path, settings: dict[str, Any]) -> str:
    """What both say; the test fails unless both refuse, each on plain lines."""
    served = command("serve", folder, settings)
    checked = command("check", folder, settings)
    assert served.returncode == checked.returncode == 1, served.stderr + checked.stdout
    lines = served.stderr.splitlines()
    assert set(lines) <= set(checked.stderr.splitlines())
    assert all(line.startswith("gateway: ") for line in checked.stderr.splitlines())
    assert "Traceback" not in served.stderr + checked.stderr
    assert not checked.stdout.rstrip().endswith("0 errors, 0 warnings")
    return checked.stderr


def store(url: str) -> dict[str, Any]:
    return {"auth": {"store": url}}


JWT = {"issuer": "https://a.test", "audiences": ["a"]}


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        pytest.param(
            {"auth": {"store": "memory:", "tokens": {"auth_upstream": "nobody"}}},
            "auth.tokens.auth_upstream: no upstream nobody",
            id="auth upstream",
        ),
        pytest.param(
            {"interceptors": [{"use": "no.such:Thing"}]},
            "interceptors[0].use: there is no module no",
            id="interceptor",
        ),
        pytest.param(
            {"interceptors": [{"use": "json:JSONDecoder", "selector": "no.such.Method"}]},
            "interceptors[0].selector: no method is called",
            id="interceptor of nothing",
        ),
        pytest.param(
            {"interceptors": [{"use": "json:JSONDecoder"}]},
            "cannot be called",
            id="interceptor that is none",
        ),
        pytest.param(
            {"upstreams": {"a": {"target": "a:1", "services": ["no.such"]}}},
            "no service is called no.such",
            id="upstream of nothing",
        ),
        pytest.param(
            {"upstreams": {"a": {"target": "a:1"}, "b": {"target": "b:1"}}},
            "echo.v1.EchoService could go to a or b",
            id="ambiguous upstreams",
        ),
        pytest.param({"listen": "2001-13-45"}, "cannot listen on '2001-13-45'", id="a date"),
        pytest.param({"listen": "a:" + "9" * 5_000}, "expected HOST:PORT", id="a long port"),
        pytest.param({"listen": "203.0.113.77:80"}, "no such address", id="not this machine's"),
        pytest.param({"listen": "a" * 70 + ".test:80"}, "no such address", id="no name"),
        pytest.param({"listen": "unix:/no/such/folder/s"}, "an existing folder", id="folder"),
        pytest.param({"listen": "unix:/tmp/" + "s" * 200}, "at most", id="a long path"),
        pytest.param(store("redis://h:port/0"), "auth.store: a redis:// store is", id="store URL"),
        pytest.param(store("mysql://h/0"), "auth.store: no such store", id="store of no kind"),
        pytest.param(
            {"rate_limits": {"store": "redis://h/x/y"}},
            "rate_limits.store: a redis:// store is at",
            id="counters",
        ),
        pytest.param(
            {
                "cache": {"store": "mysql://h/0"},
                "policies": [{"selector": "echo.v1.EchoService.Echo", "cache": {"ttl_s": 1}}],
            },
            "cache.store: no such store",
            id="store of the cache",
        ),
        pytest.param(
            {
                "idempotency": {"store": "mysql://h/0"},
                "policies": [
                    {"selector": "echo.v1.*", "idempotency": {"allow_anonymous": True}},
                ],
            },
            "idempotency.store: no such store",
            id="store of idempotency keys",
        ),
        pytest.param(
            {"auth": {"jwt": {"issuers": [JWT | {"keys_file": "none.pem"}]}}},
            "auth.jwt.issuers[0].keys_file: none.pem: cannot be read",
            id="keys of an issuer",
        ),
        pytest.param(
            {"auth": {"store": "memory:", "identity": {"jwt": {"key": "none.pem"}}}},
            "auth.identity.jwt.key: none.pem: cannot be read",
            id="signing key",
        ),
        pytest.param({"log": {"access": "/no/such/a.log"}}, "cannot write the log to", id="log"),
        pytest.param({"log": {"events": "/tmp"}}, "cannot write the log to /tmp", id="log folder"),
        pytest.param(
            {"log": {"audit": "/dev/null/a"}}, "cannot write the log to", id="log below a file"
        ),
        pytest.param(store("memory:") | {"workers": 2}, "workers cannot share", id="memory"),
        pytest.param(
            {"policies": [{"selector": "no.such.Method"}]}, "no method is called", id="policy"
        ),
        pytest.param({"services": ["no.such"]}, "no service is called no.such", id="service"),
        pytest.param({"modules": []}, "there is no schema", id="no schema"),
    ],
)  # fmt: skip
def test_what_keeps_serve_from_starting_fails_the_check(
    tmp_path: Path, settings: dict[str, Any], says: str
) -> None:
    assert says in refused_alike(tmp_path, settings)


def test_files_of_tls_are_read(tmp_path: Path, files: Files) -> None:
    other = Files(tmp_path / ".." / tmp_path.name)
    key = tmp_path / "other_key"
    trustme.CA().issue_cert("other.test").private_key_pem.write_to_path(key)
    junk = tmp_path / "junk"
    junk.write_text("no certificate")
    own = other.settings()
    for tls, says in [
        (own | {"cert_file": "none.pem"}, "tls.cert_file: none.pem: cannot be read"),
        (own | {"key_file": str(key)}, "is not the key of"),
        (own | {"cert_file": str(junk)}, "expected certificates as PEM in"),
        (own | {"client_ca_file": str(junk)}, "holds no certificate in PEM"),
    ]:
        assert says in refused_alike(tmp_path, {"tls": tls})
    assert command("check", tmp_path, {"tls": own}).returncode == 0


@pytest.mark.parametrize("channel", ["http2", "grpcio"])
def test_files_of_tls_towards_back_ends_are_read(
    tmp_path: Path, files: Files, channel: str
) -> None:
    key = tmp_path / "other_key"
    trustme.CA().issue_cert("other.test").private_key_pem.write_to_path(key)
    junk = tmp_path / "junk"
    junk.write_text("no certificate")
    pair = {"cert_file": str(files.cert), "key_file": str(files.key)}
    for tls, says in [
        ({"ca_file": "none.pem"}, "upstreams.echo.tls: none.pem: No such file"),
        ({"ca_file": str(junk)}, "upstreams.echo.tls.ca_file: "),
        (pair | {"key_file": str(key)}, "upstreams.echo.tls.key_file: "),
        (pair | {"cert_file": str(junk)}, "upstreams.echo.tls.cert_file: expected"),
    ]:
        upstream = {"target": "127.0.0.1:1", "tls": tls, "channel": channel}
        assert says in refused_alike(tmp_path, {"upstreams": {"echo": upstream}})


@pytest.mark.parametrize(
    ("module", "settings", "says"),
    [
        ("gateway.stores.redis.store", store("redis://h/0"), "[redis]"),
        ("gateway.auth.jwt.issuers", {"auth": {"jwt": {"issuers": [JWT]}}}, "[jwt]"),
        ("gateway.auth.jwt.assertions", {"auth": {"store": "memory:", "identity": {"jwt":
         {"key": "x"}}}}, "[jwt]"),
        ("re2", {"cors": {"origins": ["regex:https://.*"]}}, "[regex]"),
    ],
)  # fmt: skip
def test_a_driver_that_is_not_installed_is_named(
    tmp_path: Path, module: str, settings: dict[str, Any], says: str
) -> None:
    with patch.dict("sys.modules", {module: None}):
        said = refused_alike(tmp_path, settings)
    assert f"pip install 'grpc-rest-gateway{says}'" in said


def test_every_fault_is_told_not_only_the_first(tmp_path: Path) -> None:
    settings = {
        "listen": "nonsense",
        "log": {"access": "/no/such/a.log"},
        "interceptors": [{"use": "no.such:Thing"}],
        "auth": {"store": "mysql://h"},
        "upstreams": {"a": {"target": "a:1"}, "b": {"target": "b:1"}},
    }
    done = command("check", tmp_path, settings)
    assert len(done.stderr.splitlines()) == 5, done.stderr
    assert done.stdout.rstrip().endswith("5 errors, 0 warnings")


def test_a_good_configuration_leaves_no_trace(tmp_path: Path, files: Files) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = {
            "listen": f"127.0.0.1:{taken.getsockname()[1]}",  # by the gateway that is replaced
            "tls": files.settings(),
            "log": {"access": str(tmp_path / "access.log"), "audit": str(tmp_path / "audit.log")},
            "auth": {"store": f"sqlite:///{tmp_path}/tokens.db", "jwt": {"issuers": [JWT]}},
            "interceptors": [{"use": "tests.integration.cli.test_check:Opened"}],
        }
        before = set(tmp_path.iterdir())
        done = command("check", tmp_path, settings)
    assert done.returncode == 0, done.stderr + done.stdout
    assert done.stderr == ""
    assert done.stdout.endswith(": 0 errors, 0 warnings\n")
    assert set(tmp_path.iterdir()) - before == {tmp_path / "gateway.yaml"}


class Opened:
    """An interceptor that would ask somebody when it is opened."""

    async def __aenter__(self) -> Self:
        raise AssertionError("a check opens nothing")

    async def __aexit__(self, *_: object) -> None:
        pass

    async def __call__(self, call: Any, proceed: Any) -> Any:
        return await proceed(call)


def test_redis_is_asked_only_online(tmp_path: Path) -> None:
    with redis_server() as url:
        assert command("check", tmp_path, store(url), "--online").returncode == 0
    down = store(f"redis://:s3cret@127.0.0.1:{free_port()}/0")
    assert command("check", tmp_path, down).returncode == 0
    done = command("check", tmp_path, down, "--online")
    assert done.returncode == 1
    assert "gateway: auth.store: the store is unavailable: redis at 127.0.0.1" in done.stderr
    assert "s3cret" not in done.stderr


async def test_upstreams_are_asked_for_descriptors_only_online(tmp_path: Path) -> None:
    async with serve(echo.register) as backend:
        settings = {"modules": [], "reflect": True, "upstreams": {"echo": {"target": backend}}}
        done = await asyncio.to_thread(command, "check", tmp_path, settings, "--online")
        assert done.returncode == 0
        assert "0 errors" in done.stdout
    done = await asyncio.to_thread(command, "check", tmp_path, settings)
    assert done.returncode == 0
    assert "note: the upstreams were not asked for their descriptors: --online does" in done.stderr
    done = await asyncio.to_thread(command, "check", tmp_path, settings, "--online")
    assert done.returncode == 1
    assert "gateway: " in done.stderr
    broken = settings | {"listen": "x", "interceptors": [{"use": "no.such:Thing"}]}
    done = await asyncio.to_thread(command, "check", tmp_path, broken)
    faults = [line for line in done.stderr.splitlines() if "note: " not in line]
    assert len(faults) == 2


def test_what_the_document_leaves_out_of_annotations_is_told(tmp_path: Path) -> None:
    option = "grpc.gateway.protoc_gen_openapiv2.options.openapiv2_operation"
    proto = f"""
        syntax = "proto3";
        package a.v1;
        import "google/api/annotations.proto";
        import "v2.proto";
        service Things {{
          rpc Get(Thing) returns (Thing) {{
            option (google.api.http) = {{get: "/v1/things"}};
            option ({option}) = {{summary: "Gets" consumes: "text/plain" security {{}}}};
          }}
        }}
        message Thing {{}}
    """
    file = tmp_path / "a.binpb"
    file.write_bytes(descriptor_set(v2=OPENAPIV2, a=proto).SerializeToString())
    settings = {"descriptors": [str(file)], "modules": [], "openapi": {"enabled": True}}
    found = command("check", tmp_path, settings)
    assert found.stdout.splitlines()[0] == (
        "a.proto: warning: a.v1.Things.Get: the OpenAPI document leaves out what the annotation "
        "says of consumes, security"
    )
    assert found.returncode == 0
    assert "annotation" not in command("check", tmp_path, settings | {"openapi": {}}).stdout


def test_routes_that_openapi_cannot_describe_are_noted(tmp_path: Path) -> None:
    proto = """
        syntax = "proto3";
        package a.v1;
        import "google/api/annotations.proto";
        message Thing { string a = 1; string b = 2; }
        service Things {
          rpc Get(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/{a}"}; }
          rpc Find(Thing) returns (Thing) { option (google.api.http) = {get: "/v1/{b=**}"}; }
        }
    """
    file = tmp_path / "a.binpb"
    file.write_bytes(descriptor_set(a=proto).SerializeToString())
    settings = {"descriptors": [str(file)], "modules": [], "openapi": {"enabled": True}}
    found = command("check", tmp_path, settings)
    assert found.returncode == 0
    assert [line for line in found.stderr.splitlines() if "OpenAPI" in line] == [
        (
            "gateway: note: clients must send the slashes in a variable with ** as they are, which "
            "OpenAPI cannot state, so generated clients send %2F: GET /v1/{b=**}"
        ),
        (
            "gateway: note: the OpenAPI document has one operation for each of these: "
            "GET /v1/{a} and GET /v1/{b=**}"
        ),
    ]
    assert "OpenAPI" not in command("check", tmp_path, settings | {"openapi": {}}).stderr


def test_limits_of_each_worker_are_shown_for_all_together(tmp_path: Path) -> None:
    targets = [{"address": f"127.0.0.1:{port}"} for port in range(1, 10)]
    limited = {"targets": targets, "max_requests": 100, "max_connections": 2, "subset_size": 2}
    settings = {"upstreams": {"echo": limited | {"adaptive": {"max": 50}}}}
    alone = command("check", tmp_path, settings)
    assert "workers" not in alone.stderr
    together = command("check", tmp_path, settings | {"workers": 4})
    assert together.returncode == 0
    assert [one for one in together.stderr.splitlines() if "workers" in one] == [
        "gateway: note: upstreams.echo.max_requests: 100 for each of 4 workers, so 400 in all",
        "gateway: note: upstreams.echo.adaptive.max: 50 for each of 4 workers, so 200 in all",
        (
            "gateway: note: upstreams.echo.max_connections: 2 for each of 4 workers, so 8 in all, "
            "to each endpoint"
        ),
        (
            "gateway: note: upstreams.echo.subset_size: 4 workers with 2 endpoints each do not "
            "reach all 9; other nodes may"
        ),
    ]
