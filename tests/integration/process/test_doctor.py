"""`gateway doctor` beside a real gateway, and on installations with known faults."""

import asyncio
import json
import socket
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.integration.process.test_admin import ask_json
from tests.integration.process.test_drain import served
from tests.support.command_line import run
from tests.support.redis_server import free_port, redis_server
from tests.support.tls import Files

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
SCHEMA = {"descriptors": ["gen/descriptors.binpb"], "services": ["echo.v1.*"]}


def examine(place: Path, settings: dict[str, Any]) -> tuple[int, dict[str, tuple[str, str]]]:
    """Runs the doctor; its exit code, and the last state and text of each subject."""
    file = place / "doctor.yaml"
    file.write_text(json.dumps(settings))  # JSON is YAML
    done = run("doctor", "--json", "--config", str(file))
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

    assert code == 0, found
    assert found["settings and schema"] == ("ok", "8 routes of 5 methods")
    assert found["listen"][1].endswith("is used by the gateway that runs")
    assert found["admin.listen"][1].endswith("is used by the gateway that runs")
    assert found["admin listener"][0] == "ok"
    assert found["upstream echo"][0] == "ok"
    assert found["rate_limits.store"][0] in ("ok", "warn")  # slow on a busy machine
    assert found["open files"][0] == "ok"
    assert {"clock", "processors", "machine code", "JSON codec", "event loop"} <= found.keys()


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

    assert code == 1
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


async def test_a_key_of_another_certificate_is_found(tmp_path: Path) -> None:
    files = Files(tmp_path)
    files.key.write_bytes(trustme.CA().issue_cert("other").private_key_pem.bytes())
    settings = SCHEMA | {"listen": "127.0.0.1:0", "tls": files.settings()}

    code, found = await asyncio.to_thread(examine, tmp_path, settings)

    assert code == 1
    assert found["settings and schema"][0] == "fail"
    assert "is not the key of" in found["settings and schema"][1]
    assert found["upstreams"][0] == "fail"


def test_settings_that_cannot_be_read_are_all_that_is_examined(tmp_path: Path) -> None:
    code, found = examine(tmp_path, {"listen": "127.0.0.1:0", "limits": {"connectoins": 1}})

    assert code == 1
    assert list(found) == ["settings"]
    assert "connectoins" in found["settings"][1]


def test_the_report_for_people_has_a_line_for_each_finding(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(json.dumps(SCHEMA | {"listen": "127.0.0.1:0"}))

    done = run("doctor", "--config", str(file))

    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert "fail  upstreams: there is none; set upstreams, or give --upstream HOST:PORT" in lines
    assert all(line.split()[0] in ("ok", "warn", "fail") for line in lines[:-1])
    assert lines[-1].endswith("1 fail")
