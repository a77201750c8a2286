"""The compose example: its files, and its gateways as processes, without an engine."""

import asyncio
import re
import shlex
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped] # it has no types
import pytest
import yaml

from gateway.config.loader import load_config
from tests.deploy.foreign_schemas import validate_compose
from tests.support.balancer import haproxy, settings_for
from tests.support.command_line import run
from tests.support.redis_server import free_port, redis_server

ROOT = Path(__file__).parents[2]
COMPOSE = ROOT / "deploy/compose"
GATEWAYS = ["gateway-1", "gateway-2", "gateway-3"]
TOKEN = "0123456789abcdef0123456789abcdef"
CHECKS = "check inter 200ms fall 2 rise 2"
"""More often than in `deploy/haproxy`, so that the test is shorter."""


def compose() -> Any:
    """The services by their name."""
    return yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]


def test_compose_takes_the_file() -> None:
    document = yaml.safe_load((COMPOSE / "compose.yaml").read_text())
    validate_compose(document)
    document["services"]["balancer"]["port"] = []
    with pytest.raises(jsonschema.ValidationError, match=r"^'port' does not"):
        validate_compose(document)


def test_every_file_that_compose_mounts_exists() -> None:
    for service in compose().values():
        for mount in service.get("volumes", ()):
            source = mount.split(":")[0]
            if source.startswith("."):
                assert (COMPOSE / source).exists(), mount
        build = service.get("build")
        if build:
            assert (COMPOSE / build["context"] / build["dockerfile"]).is_file()


def test_only_one_service_builds_the_image_of_all() -> None:
    (image,) = [one["image"] for one in compose().values() if "build" in one]
    assert {compose()[name]["image"] for name in [*GATEWAYS, "backend"]} == {image}


def test_compose_opens_ports_to_this_machine_only() -> None:
    ports = {name: one["ports"] for name, one in compose().items() if "ports" in one}
    assert set(ports) == {"balancer", "grafana"}
    assert all(port.startswith("127.0.0.1:") for some in ports.values() for port in some)


@pytest.mark.parametrize("name", GATEWAYS)
def test_the_settings_in_compose_are_valid(name: str) -> None:
    service = compose()[name]
    environment = service["environment"]
    config = load_config(COMPOSE / "gateway.yaml", environment, {}, lambda _: None)
    assert config.admin.listen == "0.0.0.0:9901"
    assert str(config.admin.token_file) == "/run/secrets/admin-token"
    assert set(config.upstreams) == {"library", "echo"}
    needed_s = config.drain.delay_s + config.drain.grace_s + 10
    assert int(service["stop_grace_period"].removesuffix("s")) > needed_s
    assert config.rate_limits.processes == len(GATEWAYS)


def test_prometheus_reads_the_metrics_with_the_token() -> None:
    settings = yaml.safe_load((COMPOSE / "prometheus.yaml").read_text())
    (job,) = settings["scrape_configs"]
    assert job["authorization"] == {"credentials_file": "/run/secrets/admin-token"}
    assert job["dns_sd_configs"][0]["port"] == 9901
    assert job["dns_sd_configs"][0]["names"] == GATEWAYS


def test_the_balancer_knows_each_gateway_and_notices_a_drain_in_time() -> None:
    (mount,) = compose()["balancer"]["volumes"]
    text = (COMPOSE / mount.split(":")[0]).read_text()
    assert re.findall(r"(?m)^ *server (\S+) ", text) == GATEWAYS
    checks = re.search(r"inter (\d+)ms fall (\d+)", text)
    assert checks is not None
    config = load_config(COMPOSE / "gateway.yaml", {}, {}, lambda _: None)
    assert config.drain.delay_s > 2 * int(checks[1]) * int(checks[2]) / 1000
    port = re.search(r"bind 0.0.0.0:(\d+)", text)
    assert port is not None
    assert compose()["balancer"]["ports"] == [f"127.0.0.1:8080:{port[1]}"]


class Nodes:
    """The gateways of the example as processes, by commands of the shell for one node."""

    def __init__(self, place: Path, settings: Path) -> None:
        self._place = place
        self.ports = {name: (free_port(), free_port()) for name in GATEWAYS}
        (place / "token").write_text(TOKEN)
        (place / "token").chmod(0o600)
        for name, (port, admin) in self.ports.items():
            words = [sys.executable, "-m", "gateway", "serve", "--config", str(settings)]
            words += ["--listen", f"127.0.0.1:{port}"]
            variables = f"GATEWAY_ADMIN__LISTEN=127.0.0.1:{admin} "
            variables += f"GATEWAY_ADMIN__TOKEN_FILE={place}/token"
            (place / f"{name}.sh").write_text(
                f"cd {shlex.quote(str(ROOT))}\n"
                f"{variables} {shlex.join(words)} >>{place}/{name}.log 2>&1 &\n"
                f"echo $! >{place}/{name}.pid\n"
            )
        self.start = f"sh {place}/{{node}}.sh"
        self.kill = f"sh -c 'kill -9 $(cat {place}/{{node}}.pid)'"

    async def command(self, text: str) -> None:
        """Runs a command for each node."""
        for name in GATEWAYS:
            words = shlex.split(text.replace("{node}", name))
            await (await asyncio.create_subprocess_exec(*words)).wait()


@asynccontextmanager
async def example(place: Path) -> AsyncIterator[tuple[Nodes, str]]:
    """The example before real back ends and a real Redis; yields the URL of the balancer."""
    targets = {f"backend:{port}": f"127.0.0.1:{free_port()}" for port in (50051, 50052)}
    words = [sys.executable, "-m", "services"]
    for flag, target in zip(("--library", "--echo"), targets.values(), strict=True):
        words += [flag, target]
    backend = await asyncio.create_subprocess_exec(*words, cwd=ROOT)
    try:
        with redis_server() as store:
            settings = place / "gateway.yaml"
            settings.write_text(replaced(targets | {"redis://valkey:6379": store}))
            nodes, port = Nodes(place, settings), free_port()
            public = [pair[0] for pair in nodes.ports.values()]
            balancer = settings_for(port, public, default_server=CHECKS)
            await nodes.command(nodes.start)
            try:
                async with haproxy(place, balancer, port):
                    yield nodes, f"http://127.0.0.1:{port}/v1/echo/hello"
            finally:
                await nodes.command(nodes.kill)
    finally:
        with suppress(ProcessLookupError):
            backend.send_signal(signal.SIGKILL)
        await backend.wait()


def replaced(names: Mapping[str, str]) -> str:
    """The settings of the example with addresses of this machine."""
    text = (COMPOSE / "gateway.yaml").read_text()
    for before, after in {**names, "api.binpb": str(ROOT / "gen/descriptors.binpb")}.items():
        assert before in text
        text = text.replace(before, after)
    return text


async def kill_each(*words: str) -> tuple[int | None, str]:
    """Runs the script; returns its exit code and its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(COMPOSE / "kill_each.py"), *words),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    async with asyncio.timeout(120):
        said, _ = await process.communicate()
    return process.returncode, said.decode()


@pytest.mark.slow
async def test_a_gateway_that_is_killed_fails_no_get(tmp_path: Path) -> None:
    async with example(tmp_path) as (nodes, url):
        commands = ("--kill", nodes.kill, "--start", nodes.start)
        code, said = await kill_each("--url", url, *commands)
        assert code == 0, said
        print(said)
        assert re.search(r"^[1-9]\d* answered, 0 failed", said, re.MULTILINE)
        for name in GATEWAYS:
            assert f"{name}: killed, and back" in said
        admin = f"127.0.0.1:{nodes.ports['gateway-2'][1]}"
        told = await asyncio.to_thread(
            run, "nodes", "--admin", admin, GATEWAY_ADMIN__TOKEN_FILE=str(tmp_path / "token")
        )
        # Those that were killed stay in the list for a while.
        for name in GATEWAYS:
            pid = (tmp_path / f"{name}.pid").read_text().strip()
            assert re.search(rf"\b{pid} ", told.stdout), told.stdout + told.stderr


async def test_the_script_says_that_nobody_answers() -> None:
    url = f"http://127.0.0.1:{free_port()}/"
    code, said = await kill_each("--url", url, "--within-s", "0.3", "--clients", "2")
    assert code == 1
    assert "0 nodes answer after 0 s, expected 3" in said
    assert "ConnectionRefusedError" in said
