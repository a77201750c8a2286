"""Starts the gateways under test and their back end, and ends each by its pid."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import yaml
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from benchmarks import secured
from benchmarks.building import (
    BACKEND,
    GRPC_GATEWAY,
    OUT,
    VANGUARD,
    MissingError,
    armeria,
    build_go,
    compiled,
    envoy,
    structured_proxy,
)
from benchmarks.sample import HERE, descriptor_set
from benchmarks.scenarios import Setup

GATEWAY_CORE, LOAD_CORE = "0", "1"
DESCRIPTORS = "bench.binpb"
OURS = "this gateway"
PYTHON = f"{OURS}, as Python"
GRPCIO = f"{OURS}, channel: grpcio"
GO, ENVOY, RUST, ARMERIA = "grpc-gateway", "Envoy", "structured-proxy", "Armeria"
GUARD = {"auth": {"store": "memory:", "anonymous": False}}
"""Settings with which a request without a credential is refused."""
_WARM_UP = 100_000
"""The requests of each scenario that Armeria is sent before: its small GET needs so many."""
CACHEABLE = {"security_headers": {"cache_control": "max-age=3600"}}
"""Settings with which caches before this gateway store what it sends."""


@dataclass(frozen=True)
class Peer:
    """A gateway under test, and the command that starts it on a port for a back end."""

    name: str
    setups: frozenset[Setup]
    """The setups of the scenarios it is for."""
    command: Sequence[str]
    port: int
    warm_up: int = 0
    """The requests of each scenario to send before it is measured, if it compiles as it runs."""

    @property
    def url(self) -> str:
        """The URL it serves."""
        return f"http://127.0.0.1:{self.port}"


def peers(backend: str, wanted: Collection[Setup]) -> list[Peer]:
    """The gateways that are available here, ours first; reports those that are not."""
    OUT.mkdir(exist_ok=True)
    for pattern in ("gateway-*.yaml", "structured-proxy-*.yaml"):
        for old in OUT.glob(pattern):
            old.unlink()
    found = []
    for name, setups, make in _KINDS:
        if setups.isdisjoint(wanted):
            continue
        try:
            warm_up = _WARM_UP if name == ARMERIA else 0
            found.append(Peer(name, setups, *make(backend), warm_up))
        except MissingError as missing:
            print(f"left out: {name}: {missing}", file=sys.stderr)
    return found


Start = tuple[Sequence[str], int]
"""A command, and the port it will serve on."""


def gateway(backend: str, settings: Mapping[str, Any] | None = None, **upstream: object) -> Start:
    """This gateway with its default settings, except for addresses, files and compression.

    The peers do not compress, and clients that differ accept different codings.

    It runs as machine code, if that can be compiled.
    """
    command, port = python_gateway(backend, settings, **upstream)
    place = machine_code()
    if place is None:
        return command, port
    path = f"PYTHONPATH={place}{os.pathsep}{HERE.parent}"
    return ["env", "PYTHONSAFEPATH=1", path, *command], port


@cache
def machine_code() -> Path | None:
    """The folder with this gateway as machine code; None, with a message, if there is none."""
    try:
        return compiled()
    except MissingError as missing:
        print(f"this gateway runs as Python: {missing}", file=sys.stderr)
        return None


def _beside_machine_code(backend: str) -> Start:
    if machine_code() is None:
        raise MissingError(f"{OURS} is that already")
    return python_gateway(backend)


def python_gateway(
    backend: str, settings: Mapping[str, Any] | None = None, **upstream: object
) -> Start:
    port = free_port()
    descriptors = OUT / DESCRIPTORS
    OUT.mkdir(exist_ok=True)
    descriptors.write_bytes(descriptor_set().SerializeToString())
    document = {
        "listen": f"127.0.0.1:{port}",
        "descriptors": [str(descriptors)],
        "upstreams": {
            "bench": upstream if "targets" in upstream else {"target": backend} | upstream
        },
        "log": {"access": str(OUT / "access.log")},
        "compression": {"enabled": False},
    }
    config = OUT / f"gateway-{port}.yaml"
    config.write_text(yaml.safe_dump(document | dict(settings or {})))
    return [sys.executable, "-m", "gateway", "serve", "--config", str(config)], port


def _all_guards(backend: str) -> Start:
    return gateway(backend, secured.all_guards(OUT))


def _tls(backend: str) -> Start:
    return gateway(backend, {"tls": _certificate()})


@cache
def _certificate() -> Mapping[str, str]:
    """The certificate of every gateway."""
    return secured.certificate(OUT)


def _go(program: Path, backend: str, *, tls: bool = False) -> Start:
    build_go()
    port = free_port()
    command = [str(program), "-listen", f"127.0.0.1:{port}", "-backend", backend]
    if tls:
        files = _certificate()
        command += ["-cert", files["cert_file"], "-key", files["key_file"]]
    return command, port


def _structured_proxy(backend: str, *, tls: bool = False) -> Start:
    program, port = structured_proxy(), free_port()
    listen: dict[str, object] = {"http": f"127.0.0.1:{port}"}
    if tls:
        listen["tls"] = dict(_certificate())
    config = OUT / f"structured-proxy-{port}.yaml"
    settings = {
        "listen": listen,
        "upstream": {"default": f"http://{backend}"},
        "descriptors": [{"file": str(_without_conflicts())}],
        "service": {"name": "bench"},
        "runtime": {"worker_threads": 1},
    }
    config.write_text(yaml.safe_dump(settings))
    return [str(program), "--config", str(config)], port


def _without_conflicts() -> Path:
    """Descriptors whose paths have one name for each variable: axum's router refuses others."""
    kept = {"GetItem", "CreateItem", "ListItems", "WatchItems"}
    files = FileDescriptorSet.FromString((OUT / DESCRIPTORS).read_bytes())
    for file in files.file:
        for service in file.service:
            for method in service.method:
                if method.name not in kept:
                    method.ClearField("options")
    place = OUT / "structured-proxy.binpb"
    place.write_bytes(files.SerializeToString())
    return place


def _armeria(backend: str, *, tls: bool = False) -> Start:
    port = free_port()
    files = _certificate().values() if tls else ()
    return [*armeria(), "127.0.0.1", str(port), backend, *files], port


def _envoy_with_guards(backend: str) -> Start:
    return envoy_gateway(
        backend, Setup.ALL_GUARDS, lambda settings: secured.guard_envoy(settings, OUT / "envoy.log")
    )


def _envoy_with_tls(backend: str) -> Start:
    return envoy_gateway(
        backend, Setup.TLS, lambda settings: secured.encrypt_envoy(settings, _certificate())
    )


def envoy_gateway(
    backend: str,
    setup: Setup = Setup.PLAIN,
    change: Callable[[dict[str, Any]], None] = lambda _: None,
) -> Start:
    """Envoy as a gateway; `change` changes its settings.

    Raises:
        MissingError: there is no Envoy for this machine.
    """
    binary = envoy()
    port = free_port()
    host, _, backend_port = backend.rpartition(":")
    config = OUT / f"envoy-{setup.name.lower()}.yaml"
    printing = {"always_print_primitive_fields": True} | _ENVOY_STREAMS.get(setup, {})
    text = (HERE / "envoy.yaml").read_text() % {
        "port": port, "host": host, "backend_port": backend_port,
        "descriptors": OUT / DESCRIPTORS,
    }  # fmt: skip
    settings = yaml.safe_load(text)
    (listener,) = settings["static_resources"]["listeners"]
    filters = listener["filter_chains"][0]["filters"][0]["typed_config"]["http_filters"]
    filters[0]["typed_config"]["print_options"] = printing
    change(settings)
    config.write_text(yaml.safe_dump(settings))
    return _envoy_command(binary, config), port


def _envoy_command(binary: Path, config: Path) -> Sequence[str]:
    # Without an id of its own, a second Envoy on the machine does not start.
    options = ["--concurrency", "1", "-l", "error", "--use-dynamic-base-id"]
    return [str(binary), "-c", str(config), *options]


def nginx_cache(origin_port: int) -> Start:
    """NGINX with one worker and `proxy_cache`, before a gateway on another port.

    Raises:
        MissingError: there is no NGINX.
    """
    if shutil.which("nginx") is None:
        raise MissingError("apt-get install nginx-light")
    port = free_port()
    config = OUT / "nginx.conf"
    config.write_text((HERE / "nginx.conf").read_text() % {
        "port": port, "origin_port": origin_port, "out": OUT,
    })  # fmt: skip
    return ["nginx", "-c", str(config), "-e", str(OUT / "nginx.log")], port


def envoy_cache(origin_port: int) -> Start:
    """Envoy with one worker and its cache filter, before a gateway on another port.

    That gateway must send replies that may be stored (`CACHEABLE`).

    Raises:
        MissingError: there is no Envoy for this machine.
    """
    binary = envoy()
    port = free_port()
    config = OUT / "envoy-cache.yaml"
    config.write_text((HERE / "envoy-cache.yaml").read_text() % {
        "port": port, "origin_port": origin_port, "out": OUT,
    })  # fmt: skip
    return _envoy_command(binary, config), port


def _plain_python(backend: str) -> Start:
    port = free_port()
    return [sys.executable, "-m", "benchmarks.plain_python", str(port), backend], port


_ENVOY_STREAMS = {
    Setup.LINES: {"stream_newline_delimited": True},
    Setup.EVENTS: {"stream_sse_style_delimited": True},
}
_OPEN = frozenset({Setup.PLAIN, Setup.LINES, Setup.EVENTS, Setup.ARRAY})
_KINDS: Sequence[tuple[str, frozenset[Setup], Callable[[str], Start]]] = (
    (OURS, _OPEN, gateway),
    (OURS, frozenset({Setup.GUARDED}), partial(gateway, settings=GUARD)),
    (OURS, frozenset({Setup.ALL_GUARDS}), _all_guards),
    (OURS, frozenset({Setup.TLS}), _tls),
    (OURS, frozenset({Setup.GZIP}), partial(gateway, settings={"compression": {}})),
    (PYTHON, frozenset({Setup.PLAIN, Setup.LINES}), _beside_machine_code),
    (GRPCIO, frozenset({Setup.PLAIN, Setup.LINES}), partial(gateway, channel="grpcio")),
    (GO, frozenset({Setup.PLAIN, Setup.LINES, Setup.EVENTS}), partial(_go, GRPC_GATEWAY)),
    (GO, frozenset({Setup.TLS}), partial(_go, GRPC_GATEWAY, tls=True)),
    (ENVOY, frozenset({Setup.PLAIN, Setup.ARRAY}), envoy_gateway),
    *((ENVOY, frozenset({one}), partial(envoy_gateway, setup=one)) for one in _ENVOY_STREAMS),
    (
        ENVOY,
        frozenset({Setup.GUARDED}),
        partial(envoy_gateway, setup=Setup.GUARDED, change=secured.require_token),
    ),
    (ENVOY, frozenset({Setup.ALL_GUARDS}), _envoy_with_guards),
    (ENVOY, frozenset({Setup.TLS}), _envoy_with_tls),
    (
        ENVOY,
        frozenset({Setup.GZIP}),
        partial(envoy_gateway, setup=Setup.GZIP, change=secured.pack_in_envoy),
    ),
    (RUST, frozenset({Setup.PLAIN, Setup.LINES, Setup.EVENTS}), _structured_proxy),
    (RUST, frozenset({Setup.TLS}), partial(_structured_proxy, tls=True)),
    ("vanguard-go", frozenset({Setup.PLAIN}), partial(_go, VANGUARD)),
    ("vanguard-go", frozenset({Setup.TLS}), partial(_go, VANGUARD, tls=True)),
    (ARMERIA, frozenset({Setup.PLAIN}), _armeria),
    (ARMERIA, frozenset({Setup.TLS}), partial(_armeria, tls=True)),
    ("plain Python", frozenset({Setup.PLAIN, Setup.LINES, Setup.EVENTS}), _plain_python),
)


@contextmanager
def backend(delay_ms: int = 0) -> Iterator[str]:
    """Runs the back end on the load's core; yields its address. With `delay_ms`, each GetItem takes
    so long.

    Raises:
        MissingError: there is a delay, and the back end in Go is missing; or it does not start.
    """
    port = free_port()
    listen = f"127.0.0.1:{port}"
    command = [str(BACKEND), "-listen", listen, f"-delay={delay_ms}ms"]
    try:
        build_go()
    except MissingError as missing:
        if delay_ms:
            raise
        print(f"the back end is in Python, which limits the rates: {missing}", file=sys.stderr)
        command = [sys.executable, "-m", "benchmarks.fallback_backend", "-listen", listen]
    with running(command, port, LOAD_CORE):
        yield listen


@contextmanager
def running(
    command: Sequence[str], port: int, core: str = GATEWAY_CORE, *, start_s: float = 30.0
) -> Iterator[int]:
    """Runs a process on a core; yields its pid once it answers on its port, and ends it.

    Raises:
        MissingError: it does not answer within `start_s`.
    """
    OUT.mkdir(exist_ok=True)
    (OUT / "access.log").write_bytes(b"")  # emptied: it grows by a hundred megabytes per run
    environment = os.environ | {"GOMAXPROCS": "1", "PYTHONPATH": str(HERE.parent)}
    # As for installed programs: Python files are compiled once, not at each start.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    log = OUT / "process.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command], stdout=output, stderr=output, env=environment
        )
        try:
            _wait_for(port, process, log, start_s)
            yield process.pid
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path, start_s: float) -> None:
    until_s = time.monotonic() + start_s
    while time.monotonic() < until_s:
        if process.poll() is not None:
            raise MissingError(f"{process.args!r} ended early; its output is in {log}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MissingError(f"{process.args!r} does not answer; its output is in {log}")


def free_port() -> int:
    """A free port of this machine."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
