"""TLS towards clients, and client certificates as credentials, over real sockets."""

import asyncio
import datetime as dt
import os
import ssl
import time
from typing import Any

import pytest
import trustme
from pydantic import ValidationError

from gateway.app.gateway import Gateway
from gateway.config.model import Config
from gateway.listeners.tls import TlsError
from gateway.upstream.pool import PoolError, open_pool
from tests.support.http import Answer, connected, echo_gateway
from tests.support.tls import Files, secured

URI = "spiffe://example.org/ns/a"


async def get(gateway: Gateway, context: ssl.SSLContext, *headers: str) -> Answer:
    """What is answered over TLS."""
    async with secured(gateway, context) as client:
        return await client.get("/v1/echo/hello", *headers)


def seen(answer: Answer) -> dict[str, str]:
    """The metadata that the back end saw."""
    assert answer.status == 200, answer.body
    return {one["name"]: one.get("value", "") for one in answer.json()["metadata"]}


async def test_calls_are_answered_over_tls(files: Files) -> None:
    async with (
        echo_gateway(tls=files.settings()) as gateway,
        secured(gateway, files.context()) as client,
    ):
        assert gateway.url.startswith("https://127.0.0.1:")
        for _ in range(3):
            assert seen(await client.get("/v1/echo/hello"))["x-forwarded-proto"] == "https"


async def test_what_is_no_tls_is_closed_and_others_are_served_on(files: Files) -> None:
    async with echo_gateway(tls=files.settings()) as gateway:
        async with connected(gateway) as client:
            await client.send("GET /v1/echo/hello HTTP/1.1\r\nHost: test\r\n\r\n")
            assert await client.closed()
        assert (await get(gateway, files.context())).status == 200


async def test_a_handshake_that_does_not_come_is_not_waited_for(files: Files) -> None:
    limits = {"header_timeout_s": 0.2}
    async with (
        echo_gateway(tls=files.settings(), limits=limits) as gateway,
        connected(gateway) as client,
    ):
        assert await client.closed()


async def test_a_malformed_request_is_answered_before_the_end(files: Files) -> None:
    async with (
        echo_gateway(tls=files.settings()) as gateway,
        secured(gateway, files.context()) as client,
    ):
        await client.send("GET /v1/echo/hello HTTP/9.9\r\n\r\n")
        assert (await client.answer()).status in (400, 505)
        assert await client.closed()


async def test_old_tls_is_not_spoken(files: Files) -> None:
    context = files.context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with echo_gateway(tls=files.settings()) as gateway:
        assert (await get(gateway, context)).status == 200
    async with echo_gateway(tls=files.settings(min_version="1.3")) as gateway:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await get(gateway, context)


async def test_new_certificates_are_taken_and_old_connections_go_on(files: Files) -> None:
    other = trustme.CA()
    async with (
        echo_gateway(tls=files.settings()) as gateway,
        secured(gateway, files.context()) as before,
    ):
        assert (await before.get("/v1/echo/hello")).status == 200
        files.issue(other)
        until_s = time.monotonic() + 10
        while True:
            try:
                answer = await get(gateway, files.context(ca=other))
                break
            except ssl.SSLCertVerificationError:
                assert time.monotonic() < until_s
                await asyncio.sleep(0.05)
        assert answer.status == 200
        assert (await before.get("/v1/echo/hello")).status == 200


async def test_files_that_are_no_good_change_nothing(files: Files) -> None:
    async with echo_gateway(tls=files.settings()) as gateway:
        files.key.write_text("half a ")
        await asyncio.sleep(1.1)
        assert (await get(gateway, files.context())).status == 200


async def test_a_pipe_in_place_of_a_file_stops_nobody(
    files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    async with echo_gateway(tls=files.trusting()) as gateway:
        for path in (files.cert, files.key, files.client_ca):
            path.unlink()
            os.mkfifo(path)
            until_s = time.monotonic() + 1.2
            while time.monotonic() < until_s:
                async with asyncio.timeout(1):
                    assert (await get(gateway, files.context())).status == 200
                await asyncio.sleep(0.1)
    assert "is not a regular file" in caplog.text


@pytest.mark.parametrize("setting", ["cert_file", "key_file", "client_ca_file"])
async def test_a_pipe_keeps_the_gateway_from_starting(files: Files, setting: str) -> None:
    os.mkfifo(files.folder / "pipe")
    settings = files.trusting() | {setting: str(files.folder / "pipe")}
    with pytest.raises(TlsError, match=rf"tls\.{setting}: .*is not a regular file"):
        async with asyncio.timeout(5), echo_gateway(tls=settings):
            pass


@pytest.mark.parametrize("channel", ["http2", "grpcio"])
@pytest.mark.parametrize("setting", ["ca_file", "cert_file", "key_file"])
async def test_a_pipe_among_an_upstreams_files_is_refused(
    files: Files, setting: str, channel: str
) -> None:
    os.mkfifo(files.folder / "pipe")
    tls = {"ca_file": str(files.client_ca), "cert_file": str(files.cert)}
    tls |= {"key_file": str(files.key), setting: str(files.folder / "pipe")}
    settings = {"u": {"target": "127.0.0.1:1", "tls": tls, "channel": channel}}
    config = Config.model_validate({"upstreams": settings})
    with pytest.raises(PoolError, match=r"pipe.*is not a regular file"):
        async with asyncio.timeout(5), open_pool(config.upstreams):
            pass


@pytest.mark.parametrize(
    ("setting", "content", "reason"),
    [
        ("cert_file", None, r"tls\.cert_file: .*cannot be read"),
        ("key_file", None, r"tls\.key_file: .*cannot be read"),
        ("cert_file", "nothing", "expected certificates as PEM"),
        ("client_ca_file", "nothing", "holds no certificate"),
    ],
)
async def test_files_that_are_no_good_keep_the_gateway_from_starting(
    files: Files, setting: str, content: str | None, reason: str
) -> None:
    path = files.folder / "bad"
    if content is not None:
        path.write_text(content)
    with pytest.raises(TlsError, match=reason):
        async with echo_gateway(tls=files.trusting() | {setting: str(path)}):
            pass


async def test_a_key_of_another_certificate_is_named(files: Files) -> None:
    files.key.write_bytes(files.ca.issue_cert("a").private_key_pem.bytes())
    with pytest.raises(TlsError, match="is not the key of"):
        async with echo_gateway(tls=files.settings()):
            pass


@pytest.mark.parametrize(
    ("identity", "options", "name"),
    [
        (URI, {}, URI),
        ("ada.example.org", {}, "ada.example.org"),
        ("ada@example.org", {"principal": ["email"], "prefix": "m/"}, "m/ada@example.org"),
    ],
    ids=["spiffe", "dns", "email"],
)
async def test_a_certificate_is_a_principal(
    files: Files, identity: str, options: dict[str, Any], name: str
) -> None:
    leaf = _leaf(files.clients, identity)
    certificates = options | {"scopes": {"*": ["read"], "nobody": ["write"]}}
    auth = {"certificates": certificates, "anonymous": False}
    async with echo_gateway(tls=files.trusting(), auth=auth) as gateway:
        told = seen(await get(gateway, files.context(leaf), "X-Principal: root"))
        assert told["x-principal"] == name
        assert told["x-principal-scopes"] == "read"
        assert (await get(gateway, files.context(), "X-Principal: root")).status == 401


def _leaf(ca: trustme.CA, identity: str) -> trustme.LeafCert:
    if not identity.startswith("spiffe:"):
        return ca.issue_cert(identity)
    from cryptography import x509

    # trustme makes no URIs: the same certificate again, with one.
    return _with_uri(ca, x509.UniformResourceIdentifier(identity))


@pytest.mark.parametrize(
    ("names", "principal"),
    [
        pytest.param([["Users"], ["ada"]], "ada", id="the most specific"),
        pytest.param([["ada"]], "ada", id="the only one"),
        pytest.param([["ada "]], None, id="a blank behind it"),
        pytest.param([[" ada"]], None, id="a blank before it"),
        pytest.param([["root"], ["ada", "bob"]], None, id="two in one relative name"),
    ],
)
async def test_a_common_name_is_one_principal(
    files: Files, names: list[list[str]], principal: str | None
) -> None:
    from cryptography import x509

    subject = [
        x509.RelativeDistinguishedName(
            [x509.NameAttribute(x509.NameOID.COMMON_NAME, name) for name in relative]
        )
        for relative in names
    ]
    leaf = _with_uri(files.clients, x509.DNSName("a.test"), x509.Name(subject))
    auth = {"certificates": {"principal": ["cn"]}}
    async with echo_gateway(tls=files.trusting(), auth=auth) as gateway:
        answer = await get(gateway, files.context(leaf))
        if principal is None:
            assert answer.status == 401
        else:
            assert seen(answer)["x-principal"] == principal


def _with_uri(ca: trustme.CA, uri: Any, subject: Any = None) -> trustme.LeafCert:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    issuer = x509.load_pem_x509_certificate(ca.cert_pem.bytes())
    signer: Any = serialization.load_pem_private_key(ca.private_key_pem.bytes(), None)
    key = ec.generate_private_key(ec.SECP256R1())
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject or x509.Name([]))
        .issuer_name(issuer.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([uri]), critical=True)
        .sign(signer, hashes.SHA256())
    )
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    return trustme.LeafCert(pem, made.public_bytes(serialization.Encoding.PEM), [])


async def test_a_certificate_of_a_foreign_authority_is_refused(files: Files) -> None:
    foreign = trustme.CA().issue_cert("ada.example.org")
    async with echo_gateway(tls=files.trusting(), auth={"certificates": {}}) as gateway:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await get(gateway, files.context(foreign))


async def test_a_certificate_that_has_expired_gets_no_connection(files: Files) -> None:
    now = dt.datetime.now(dt.UTC)
    old = files.clients.issue_cert(
        "ada.example.org",
        not_before=now - dt.timedelta(days=2),
        not_after=now - dt.timedelta(days=1),
    )
    async with echo_gateway(tls=files.trusting(), auth={"certificates": {}}) as gateway:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await get(gateway, files.context(old))


async def test_a_certificate_that_expires_is_no_credential_on_a_connection_that_lives(
    files: Files,
) -> None:
    soon = dt.datetime.now(dt.UTC) + dt.timedelta(seconds=2)
    leaf = files.clients.issue_cert("ada.example.org", not_after=soon)
    async with (
        echo_gateway(tls=files.trusting(), auth={"certificates": {}}) as gateway,
        secured(gateway, files.context(leaf)) as client,
    ):
        for _ in range(4):  # the later ones repeat their heads, and are not parsed
            assert (await client.get("/v1/echo/hello")).status == 200
        await asyncio.sleep(2.1)
        answer = await client.get("/v1/echo/hello")
        assert (answer.status, answer.json()["error"]["message"]) == (
            401,
            "the client certificate has expired",
        )


async def test_where_certificates_are_required_none_gets_no_connection(files: Files) -> None:
    tls = files.trusting(client_certificates="required")
    async with echo_gateway(tls=tls) as gateway:
        with pytest.raises((ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)):
            await get(gateway, files.context())
        leaf = files.clients.issue_cert("ada.example.org")
        assert (await get(gateway, files.context(leaf))).status == 200


async def test_a_proxy_that_is_trusted_says_whose_certificate_it_saw() -> None:
    forwarded = f"X-Forwarded-Client-Cert: URI={URI}"
    settings = {"auth": {"certificates": {"forwarded": True}}}
    proxies = {"forwarded": {"trusted_proxies": ["127.0.0.1/32"]}}
    others = {"forwarded": {"trusted_proxies": ["10.0.0.0/8"]}}
    async with echo_gateway(**settings, **proxies) as gateway, connected(gateway) as client:
        told = seen(await client.get("/v1/echo/hello", forwarded))
        assert told["x-principal"] == URI
        assert "x-forwarded-client-cert" not in told
    async with echo_gateway(**settings, **others) as gateway, connected(gateway) as client:
        assert (await client.get("/v1/echo/hello", forwarded)).status == 401


@pytest.mark.parametrize(
    "settings",
    [
        {"auth": {"certificates": {}}},
        {"auth": {"certificates": {"forwarded": True}}},
        {"listen": "unix:/a", "tls": {"cert_file": "a", "key_file": "b"}},
        {"tls": {"cert_file": "a", "key_file": "b", "client_certificates": "required"}},
    ],
    ids=["no authority", "no proxy", "a unix socket", "required of nobody"],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match="needs"):
        Config.model_validate(settings)
