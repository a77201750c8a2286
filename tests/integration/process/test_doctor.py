"""`gateway doctor` beside a real gateway, and on installations with known faults."""

import asyncio
import json
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc.aio
import pytest
import trustme
from redis import Redis

from gateway.cli.doctor.redis import of_facts
from gateway.stores.redis.facts import RedisFacts
from services import echo
from services.serving import serve
from tests.integration.process.test_admin import ask_json
from tests.integration.process.test_drain import served
from tests.support.command_line import run
from tests.support.health import NOT_SERVING, Health
from tests.support.jwts import jwk_set, private_key, public_jwk
from tests.support.redis_server import free_port, redis_server
from tests.support.schema import descriptor_set
from tests.support.tls import Files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
SCHEMA = {"descriptors": ["gen/descriptors.binpb"], "services": ["echo.v1.*"]}


def examine(
    place: Path, settings: dict[str, Any], **environment: str
) -> tuple[int, dict[str, tuple[str, str]]]:
    """Runs the doctor; its exit code, and the last state and text of each subject."""
    file = place / "doctor.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    done = run("doctor", "--json", "--config", str(file), **environment)
    found = json.loads(done.stdout)
    assert sum(found["counts"].values()) == len(found["findings"])
    for one in found["findings"]:
        assert one["text"]
        assert bool(one["advice"]) == (one["state"] != "ok"), one
    return done.returncode, {
        one["subject"]: (one["state"], one["text"]) for one in found["findings"]
    }


async def test_a_gateway_that_runs_is_well(tmp_path: Path) -> None:
    admin = tmp_path / "admin.sock"
    with redis_server() as store:
        version = Redis.from_url(store).info()["redis_version"]
        async with served(tmp_path, settings={"ADMIN__LISTEN": f"unix:{admin}"}) as gateway:
            config = await ask_json(admin, "/config")
            settings = SCHEMA | {
                "listen": f"127.0.0.1:{gateway.port}",
                "admin": {"listen": f"unix:{admin}"},
                "upstreams": {
                    "echo": {"target": next(iter(config["upstreams"].values()))["target"]}
                },
                "rate_limits": {"store": store},
            }
            code, found = await asyncio.to_thread(examine, tmp_path, settings)

    # Without warnings 0; the modules may be Python, and the machine slow.
    assert code == any(state == "warn" for state, _ in found.values()), found
    assert found["rate_limits.store clock"][0] == "ok"
    assert found["rate_limits.store memory"] == (
        "ok",
        f"Redis {version} drops no keys (noeviction)",
    )
    assert found["settings and schema"] == ("ok", "8 routes of 5 methods")
    assert found["listen"][1].endswith("is used by the gateway that runs")
    assert found["admin.listen"][1].endswith("is used by the gateway that runs")
    assert found["admin listener"][0] == "ok"
    assert found["upstream echo"][0] == "ok"
    assert found["rate_limits.store"][0] in ("ok", "warn")  # slow on a busy machine
    assert found["open files"][0] == "ok"
    assert "no supervisor" in found["processors"][1]
    assert {"clock", "machine code", "JSON codec", "event loop"} <= found.keys()


async def test_each_fault_is_found_in_bounded_time(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.key.chmod(0o644)
    ended = trustme.CA().issue_cert("127.0.0.1", not_after=datetime.now(UTC) - timedelta(days=1))
    (tmp_path / "ended").write_bytes(ended.cert_chain_pems[0].bytes())
    upstream_key = tmp_path / "upstream_key"
    upstream_key.write_bytes(ended.private_key_pem.bytes())
    upstream_key.chmod(0o600)
    closed = f"127.0.0.1:{free_port()}"
    tls = {"cert_file": str(tmp_path / "ended"), "key_file": str(upstream_key)}
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = f"127.0.0.1:{other.getsockname()[1]}"
        settings = SCHEMA | {
            "listen": taken,
            "workers": 1000,
            "tls": files.settings(),
            "admin": {"listen": f"unix:{tmp_path}/none.sock"},
            "upstreams": {"echo": {"target": closed, "tls": tls}},
            "rate_limits": {"store": f"redis://127.0.0.1:{free_port()}/0"},
        }
        begun_s = time.monotonic()
        code, found = await asyncio.to_thread(examine, tmp_path, settings)
        took_s = time.monotonic() - begun_s

    assert code == 2
    assert found["listen"] == ("fail", f"{taken} is used by another program")
    assert found["admin.listen"][0] == "ok"
    assert found["admin listener"][0] == "warn"
    assert found["upstream echo"][0] == "fail"
    assert closed in found["upstream echo"][1]
    assert found["rate_limits.store"][0] == "fail"
    assert found["certificate upstreams.echo.tls.cert_file"][0] == "fail"
    assert " ended " in found["certificate upstreams.echo.tls.cert_file"][1]
    assert found["certificate tls.cert_file"][0] == "ok"
    assert found["file tls.key_file"] == (
        "warn",
        f"{files.key}: others may use it (mode 0644)",
    )
    assert found["file upstreams.echo.tls.key_file"][0] == "ok"
    assert found["processors"][0] == "warn"
    assert took_s < 30  # ten on a machine that is not busy


CHANGED = """
syntax = "proto3";
package echo.v1;
import "google/api/annotations.proto";
message EchoRequest { int64 text = 1; string added = 99; }
message EchoResponse { string text = 1; }
service EchoService {
  rpc Echo(EchoRequest) returns (EchoResponse) { option (google.api.http) = {get: "/v1/echo"}; }
  rpc New(EchoRequest) returns (EchoResponse) { option (google.api.http) = {get: "/v1/new"}; }
}
"""


async def test_what_a_back_end_says_of_itself_is_compared(tmp_path: Path) -> None:
    health = Health()
    health.becomes(NOT_SERVING)

    def register(server: grpc.aio.Server) -> str:
        server.add_generic_rpc_handlers((health.handler,))
        return echo.register(server)

    (tmp_path / "changed.binpb").write_bytes(descriptor_set(echo=CHANGED).SerializeToString())
    async with serve(register) as ill, serve(echo.register, reflect=False) as silent:
        settings: dict[str, Any] = SCHEMA | {
            "listen": "127.0.0.1:0",
            "descriptors": [str(tmp_path / "changed.binpb")],
            "upstreams": {
                "echo": {"target": ill},
                "other": {"target": silent, "services": ["gatewayapi.v1.AuthService"]},
            },
        }
        _, changed = await asyncio.to_thread(examine, tmp_path, settings)
        del settings["upstreams"]["other"]
        _, same = await asyncio.to_thread(examine, tmp_path, settings | SCHEMA)

    assert changed["upstream echo health"] == ("warn", "its status is NOT_SERVING")
    assert changed["upstream echo schema"] == (
        "warn",
        "echo.v1.EchoService.New is not there",  # the last of them
    )
    assert changed["upstream other health"] == ("ok", "it has no health service")
    assert changed["upstream other schema"][1] == "not compared: it offers no server reflection"
    assert same["upstream echo schema"] == ("ok", "its own descriptors agree with the schema")


def test_issuers_whose_keys_cannot_be_loaded_are_found(tmp_path: Path) -> None:
    keys = tmp_path / "keys.json"
    keys.write_bytes(jwk_set(public_jwk(private_key("P-256"))))
    nowhere = f"http://127.0.0.1:{free_port()}/keys"
    both = {"audiences": ["x"], "plain_http": True}
    issuers = [
        both | {"issuer": "https://a", "prefix": "a/", "keys_file": str(keys)},
        both | {"issuer": "https://b", "prefix": "b/", "keys_url": nowhere},
    ]
    settings = SCHEMA | {"listen": "127.0.0.1:0", "auth": {"jwt": {"issuers": issuers}}}
    settings["forwarded"] = {"trusted_proxies": ["10.0.0.0/8", "0.0.0.0/0"]}

    code, found = examine(tmp_path, settings)

    assert code == 2
    assert found["JWT issuer https://a"] == ("ok", "its keys can be read")
    assert found["JWT issuer https://b"][0] == "fail"
    assert f"{nowhere}: cannot be reached" in found["JWT issuer https://b"][1]
    assert found["proxies"] == (
        "warn",
        "forwarded.trusted_proxies has 0.0.0.0/0: strangers can state any address",
    )


async def test_a_key_of_another_certificate_is_found(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.key.write_bytes(trustme.CA().issue_cert("other").private_key_pem.bytes())
    settings = SCHEMA | {"listen": "127.0.0.1:0", "tls": files.settings()}

    code, found = await asyncio.to_thread(examine, tmp_path, settings)

    assert code == 2
    assert found["settings and schema"][0] == "fail"
    assert "is not the key of" in found["settings and schema"][1]
    assert found["upstreams"][0] == "fail"


def test_a_redis_that_drops_keys_is_a_warning(tmp_path: Path) -> None:
    with redis_server() as store:
        Redis.from_url(store).config_set("maxmemory-policy", "allkeys-lru")
        settings = SCHEMA | {"listen": "127.0.0.1:0", "rate_limits": {"store": store}}
        _, found = examine(tmp_path, settings)

    assert found["rate_limits.store memory"][0] == "warn"
    assert (
        "drops keys when its memory is full (allkeys-lru)" in found["rate_limits.store memory"][1]
    )


@pytest.mark.parametrize(
    ("ahead_s", "state"), [(0.9, "ok"), (-0.9, "ok"), (9, "warn"), (-9, "warn")]
)
def test_a_redis_with_another_clock_is_a_warning(ahead_s: float, state: str) -> None:
    clock, _ = of_facts("auth.store", RedisFacts("7.2.0", "noeviction", ahead_s, 0.1))
    assert clock.state == state
    assert ("ahead of" if ahead_s > 0 else "behind") in clock.text or state == "ok"


def test_a_port_that_systemd_holds_for_the_gateway_is_no_fault(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as held, socket.create_server(("", 0)) as other:
        listen, port = f"127.0.0.1:{held.getsockname()[1]}", other.getsockname()[1]
        settings = SCHEMA | {"listen": listen, "admin": {"listen": f"127.0.0.1:{port}"}}
        # systemd does not run here: its words (systemctl(1)).
        lines = [
            "/run/systemd/notify - systemd-notify.socket",
            f"{listen}  gateway.socket gateway.service",
            f"[::]:{port}  sshd.socket sshd.service",
        ]
        systemctl = programs / "systemctl"
        quoted = " ".join(f"'{line}'" for line in lines)
        systemctl.write_text(f"#!/bin/sh\n[ $1 = list-sockets ] && printf '%s\\n' {quoted}\n")
        systemctl.chmod(0o755)
        _, found = examine(tmp_path, settings, PATH=f"{programs}:/usr/bin:/bin")

    assert found["listen"] == (
        "ok",
        f"{listen} is held by the service manager for the gateway (gateway.socket)",
    )
    assert found["admin.listen"][0] == "warn"
    assert "sshd.socket" in found["admin.listen"][1]


async def test_sockets_that_this_process_was_given_are_no_fault(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as given:
        file = tmp_path / "gateway.yaml"
        file.write_text(json.dumps(SCHEMA))
        script = (
            "exec 3<&0; "
            "LISTEN_FDS=1 LISTEN_FDNAMES=gateway LISTEN_PID=$$ "
            f"exec {sys.executable} -m gateway doctor --config {file}"
        )
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", script),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            stdin=given.fileno(),
        )
        told, said = await process.communicate()
        listen = f"127.0.0.1:{given.getsockname()[1]}"

    line = f"ok    listen: {listen} is a socket that the service manager has opened"
    assert line in told.decode().splitlines(), (told, said)


def test_settings_that_cannot_be_read_are_all_that_is_examined(tmp_path: Path) -> None:
    code, found = examine(tmp_path, {"listen": "127.0.0.1:0", "limits": {"connectoins": 1}})

    assert code == 2
    assert list(found) == ["settings"]
    assert "connectoins" in found["settings"][1]


def test_the_report_for_people_has_a_line_for_each_finding(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(SCHEMA | {"listen": "127.0.0.1:0"}))

    done = run("doctor", "--config", str(file))

    lines = done.stdout.splitlines()
    assert done.returncode == 2
    assert "fail  upstreams: there is none; set upstreams, or give --upstream HOST:PORT" in lines
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines[:-1])
    assert lines[-1].endswith("1 fail")
