"""Health checks by HTTP/1.1 and HTTP/2, with TLS and without, at a server of another project."""

import asyncio
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypercorn.asyncio import serve
from hypercorn.config import Config
from pydantic import ValidationError

from gateway.config.upstreams import Upstream
from gateway.upstream.channels.channel import Channel
from gateway.upstream.channels.http2.address import parse_target
from gateway.upstream.probes import Probe
from tests.support.balanced import channel_to, states
from tests.support.polling import until
from tests.support.tls import Files

OFTEN = {"interval_s": 0.05, "timeout_s": 1}


class Web:
    """A web server; it keeps what it was asked for."""

    def __init__(self, port: int) -> None:
        self.target = f"127.0.0.1:{port}"
        self.port = port
        self.status = 200
        self.asked: list[tuple[str, str, str]] = []
        """The version, the scheme and the path of each request."""
        self.headers: dict[str, str] = {}
        """Those of the last one."""

    async def __call__(self, scope: Mapping[str, Any], _receive: Any, send: Any) -> None:
        if scope["type"] != "http":  # a server without a beginning or an end of its own
            return
        self.asked.append((scope["http_version"], scope["scheme"], scope["path"]))
        self.headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        await send({"type": "http.response.body", "body": b"x" * 5000})


@asynccontextmanager
async def web(files: Files | None) -> AsyncIterator[Web]:
    taken = socket.create_server(("127.0.0.1", 0))
    app, ends = Web(taken.getsockname()[1]), asyncio.Event()
    config = Config()
    config.bind = [f"fd://{taken.detach()}"]
    config.errorlog = None
    if files is not None:
        config.certfile, config.keyfile = str(files.cert), str(files.key)
    serving = asyncio.create_task(serve(app, config, shutdown_trigger=ends.wait, mode="asgi"))
    try:
        yield app
    finally:
        ends.set()
        await serving


def trusted(files: Files) -> dict[str, str]:
    path = files.folder / "ca.pem"
    files.ca.cert_pem.write_to_path(path)
    return {"ca_file": str(path)}


def state(channel: Channel) -> tuple[str, str]:
    (found,) = states(channel).values()
    return found


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
@pytest.mark.parametrize("is_tls", [True, False], ids=["TLS", "plain"])
async def test_an_endpoint_is_asked_on_its_port_as_its_calls_are(
    tmp_path: Path, http2: bool, is_tls: bool
) -> None:
    files = Files(tmp_path) if is_tls else None
    health = {"kind": "http", "http2": http2, "path": "/healthz?full=1"} | OFTEN
    settings: dict[str, Any] = {"health": health}
    if files is not None:
        settings["tls"] = trusted(files)
    async with web(files) as server, channel_to([server.target], **settings) as channel:
        await channel.connect(5)  # type: ignore[attr-defined]
        await until(lambda: state(channel) == ("ready", ""))
        server.status = 503
        refused = ("unhealthy", "its health check was answered with 503")
        await until(lambda: state(channel) == refused)
        server.status = 200
        await until(lambda: state(channel) == ("ready", ""))
        scheme = "https" if is_tls else "http"
        assert set(server.asked) == {("2" if http2 else "1.1", scheme, "/healthz")}
        assert server.headers["user-agent"].startswith("grpc-rest-gateway")
        if not http2:
            assert server.headers["host"] == server.target


def probe(port: int, health: dict[str, Any], tls: dict[str, Any] | None) -> Probe:
    """The checks of a back end called at port 1, whose health is asked for at `port`."""
    found = Upstream.model_validate(
        {"target": "127.0.0.1:1", "tls": tls, "health": {"kind": "http", "port": port} | health}
    )
    assert found.health is not None
    return Probe(found.health, parse_target(found))


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
async def test_another_port_has_tls_only_if_asked(tmp_path: Path, http2: bool) -> None:
    files = Files(tmp_path)
    tls = trusted(files)
    async with web(files) as server:
        assert await probe(server.port, {"http2": http2, "tls": True}, tls).ask() == ("", False)
        reason, _ = await probe(server.port, {"http2": http2}, tls).ask()
        assert reason
    async with web(None) as server:
        assert await probe(server.port, {"http2": http2}, tls).ask() == ("", False)
        reason, _ = await probe(server.port, {"http2": http2, "tls": True}, tls).ask()
        assert reason.startswith("its health check failed: ")


@pytest.mark.parametrize("http2", [True, False], ids=["HTTP/2", "HTTP/1.1"])
async def test_a_certificate_is_checked(tmp_path: Path, http2: bool) -> None:
    files = Files(tmp_path)
    tls = trusted(files)
    async with web(files) as server:
        health = {"http2": http2, "tls": True}
        found, _ = await probe(server.port, health, tls | {"server_name": "library"}).ask()
        assert found.startswith("its health check failed: its certificate is refused: ")


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"health": {"kind": "http", "tls": True}}, "health.tls: expected tls of the upstream"),
        ({"health": {"kind": "tcp", "http2": True}}, "http2: has no effect with kind: tcp"),
        ({"health": {"tls": True}}, "tls: has no effect with kind: grpc"),
    ],
)
def test_what_has_no_effect_is_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate({"target": "localhost:1", **settings})
