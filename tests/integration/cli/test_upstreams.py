"""`gateway upstreams`, as a user types it."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest

from tests.support.command_line import run


@pytest.fixture
def address() -> Iterator[str]:
    """A back end in threads of its own, since the command runs a loop in this one."""
    from concurrent.futures import ThreadPoolExecutor

    server = grpc.server(ThreadPoolExecutor(1))
    check: Any = grpc.unary_unary_rpc_method_handler(lambda _request, _context: bytes([8, 2]))
    health = grpc.method_handlers_generic_handler("grpc.health.v1.Health", {"Check": check})
    server.add_generic_rpc_handlers((health,))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield f"127.0.0.1:{port}"
    server.stop(None).wait()


def test_each_endpoint_is_listed_with_its_state(address: str, tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text(
        f"upstreams: {{library: {{targets: [{{address: '{address}', weight: 2}},"
        " {address: '127.0.0.1:1'}]}}"
    )
    done = run("upstreams", "--config", str(settings), "--json")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(row["upstream"], row["address"], row["state"], row["weight"]) for row in rows] == [
        ("library", address, "ready", 2),
        ("library", "127.0.0.1:1", "failing", 1),
    ]
    assert rows[1]["failure"] == "Connection refused"
    assert done.returncode == 1
    table = run("upstreams", "--config", str(settings)).stdout
    assert "Connection refused" in table


def test_zones_and_priorities_are_listed_if_there_are_any(address: str, tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    target = f"{{address: '{address}', zone: eu-1, priority: 3}}"
    settings.write_text(f"upstreams: {{library: {{targets: [{target}]}}}}")
    head, row = run("upstreams", "--config", str(settings)).stdout.splitlines()[:2]
    assert head.split() == ["upstream", "address", "state", "weight", "priority", "zone", "failure"]
    assert row.split() == ["library", address, "ready", "1", "3", "eu-1"]
    plain = run("upstreams", "--upstream", f"library={address}").stdout
    assert "zone" not in plain
    assert "priority" not in plain


def test_all_that_are_ready_are_no_error(address: str) -> None:
    done = run("upstreams", "--upstream", f"library={address}")
    assert (done.returncode, address in done.stdout) == (0, True)


def test_an_unhealthy_endpoint_is_shown_with_the_reason(address: str, tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text(f"upstreams: {{library: {{target: '{address}', health: {{}}}}}}")
    done = run("upstreams", "--config", str(settings), "--json")
    row = json.loads(done.stdout)
    assert (row["state"], row["failure"]) == ("unhealthy", "its health is NOT_SERVING")
    assert done.returncode == 1


def test_settings_that_grpcio_cannot_take_are_refused(tmp_path: Path) -> None:
    settings = tmp_path / "gateway.yaml"
    settings.write_text("upstreams: {a: {target: 'a:1', channel: grpcio, balance: round_robin}}")
    done = run("upstreams", "--config", str(settings))
    assert done.returncode == 1
    assert "upstreams.a: balance: is for channel: http2" in done.stderr
