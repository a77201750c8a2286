"""An admin listener that other machines reach: by TLS, with the certificates of operators."""

import asyncio
import json
import ssl
import sys
from pathlib import Path

import pytest
import trustme

from gateway.config.admin import AdminOptions
from tests.integration.process.test_drain import served
from tests.support.command_line import run
from tests.support.polling import first
from tests.support.redis_server import free_port
from tests.support.tls import Files

LISTEN = "0.0.0.0:9901"


def written(place: Path, by: trustme.CA) -> tuple[Path, Path]:
    """The files of an operator's certificate and key."""
    place.mkdir()
    own = by.issue_cert("ada@example.com")
    cert, key = place / "cert.pem", place / "key.pem"
    cert.write_bytes(b"".join(blob.bytes() for blob in own.cert_chain_pems))
    key.write_bytes(own.private_key_pem.bytes())
    return cert, key


async def status_of(port: int, context: ssl.SSLContext | None) -> int:
    """The status of an answer to /status; 0 if the connection is refused or closed."""
    try:
        async with asyncio.timeout(15):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
            writer.write(b"GET /status HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            answer = await reader.read()
            writer.close()
    except OSError:  # ssl.SSLError is one
        return 0
    return int(answer.split(b" ")[1]) if answer else 0


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_only_operators_with_a_certificate_reach_it(tmp_path: Path, workers: int) -> None:
    files, port = Files(tmp_path), free_port()
    cert, key = written(tmp_path / "ada", files.clients)
    authority = tmp_path / "authority.pem"
    files.ca.cert_pem.write_to_path(authority)
    admin = {
        "listen": f"0.0.0.0:{port}",
        "tls": files.trusting(),
        "client": {"ca_file": str(authority), "cert_file": str(cert), "key_file": str(key)},
    }
    operator, stranger = tmp_path / "operator.yaml", tmp_path / "stranger.yaml"
    operator.write_text(json.dumps({"admin": admin}))
    other_cert, other_key = written(tmp_path / "eve", trustme.CA())
    eve = {"ca_file": str(authority), "cert_file": str(other_cert), "key_file": str(other_key)}
    stranger.write_text(json.dumps({"admin": admin | {"client": eve}}))

    async with served(tmp_path, workers, "--config", str(operator)):
        good = files.context()
        good.load_cert_chain(cert, key)
        assert await status_of(port, good) == 200
        assert await status_of(port, files.context()) == 0
        bad = files.context()
        bad.load_cert_chain(other_cert, other_key)
        assert await status_of(port, bad) == 0
        assert await status_of(port, None) == 0
        assert await status_of(port, good) == 200

        place = ("--admin", f"127.0.0.1:{port}")
        shown = await asyncio.to_thread(run, "status", "--config", str(operator), *place)
        assert shown.returncode == 0, shown.stderr
        assert "serving" in shown.stdout
        refused = await asyncio.to_thread(run, "status", "--config", str(stranger), *place)
        assert refused.returncode == 1
        assert f"127.0.0.1:{port}" in refused.stderr
        assert "Traceback" not in refused.stderr


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
@pytest.mark.parametrize("workers", [1, pytest.param(2, id="2 workers")])
async def test_new_certificates_and_tokens_are_used_without_a_restart(
    tmp_path: Path, workers: int
) -> None:
    files, port = Files(tmp_path), free_port()
    cert, key = written(tmp_path / "ada", files.clients)
    file = tmp_path / "settings.yaml"
    admin = {"listen": f"127.0.0.1:{port}", "tls": files.trusting()}
    file.write_text(json.dumps({"admin": admin}))

    told = {"LOG__EVENTS": "stderr"}
    async with served(tmp_path, workers, "--config", str(file), settings=told) as gateway:
        before = files.context()
        before.load_cert_chain(cert, key)
        assert await status_of(port, before) == 200

        other, operators = trustme.CA(), trustme.CA()
        after = files.context(ca=other)
        after.load_cert_chain(*written(tmp_path / "bob", operators))
        files.cert.write_bytes(b"half of a certificate")
        await gateway.until("keeps its certificates and token: admin.tls.cert_file")
        assert await status_of(port, before) == 200

        operators.cert_pem.write_to_path(files.client_ca)
        files.issue(other)

        async def answer() -> int:
            return await status_of(port, after)

        await first(answer, lambda status: status == 200, within_s=20)
        assert await status_of(port, before) == 0  # the authority of Ada is trusted no more


def test_an_open_address_needs_a_token_or_certificates(tmp_path: Path) -> None:
    files = {"cert_file": "c.pem", "key_file": "k.pem"}
    with pytest.raises(ValueError, match=r"set admin\.token_file or admin\.tls\.client_ca_file"):
        AdminOptions.model_validate({"listen": LISTEN, "tls": files})
    closed = {"listen": LISTEN, "tls": files | {"client_ca_file": "ca.pem"}}
    assert AdminOptions.model_validate(closed).tls is not None
    with pytest.raises(ValueError, match="a unix socket has no TLS"):
        AdminOptions.model_validate({"listen": "unix:/run/a.sock", "tls": files})
    with pytest.raises(ValueError, match="need each other"):
        AdminOptions.model_validate({"client": {"cert_file": "c.pem"}})
