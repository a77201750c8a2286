"""A real Chromium's view of the admin listener's page, before a real gateway."""

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from tests.integration.process.test_admin import TOKEN, ask, ask_json
from tests.integration.process.test_drain import Served, served
from tests.support.page import Page, open_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="needs /proc"),
]
TABLES = [
    *("routes", "upstreams", "endpoints", "limits", "stores", "failures"),
    *("workers", "nodes", "certificates"),
]
HOSTILE = "<img src=x onerror=document.body.dataset.hacked=1>"


def hostile_certificate(file: Path) -> None:
    """Writes an authority whose name is HTML."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOSTILE)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + timedelta(days=5, hours=1))
        .sign(key, SHA256())
    )
    file.write_bytes(built.public_bytes(Encoding.PEM))


async def get(gateway: Served, target: str) -> int:
    """The status of a request whose target is sent as it is."""
    return (await ask(gateway.port, target, "GET", "Connection: close"))[0]


@asynccontextmanager
async def opened(
    place: Path, workers: int = 1, **settings: object
) -> AsyncIterator[tuple[Served, str]]:
    """A gateway with some traffic, and the URL of its page."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ca, file = place / "ca.pem", place / "settings.yaml"
    hostile_certificate(ca)
    file.write_text(
        "filters: [{name: nobody, deny_methods: [DELETE]}]\n"
        "upstreams: {other: {target: '127.0.0.1:1', services: [gatewayapi.v1.AuthService], "
        f"tls: {{ca_file: {ca}}}}}}}\n"
    )
    more = {"ADMIN__LISTEN": f"127.0.0.1:{port}"} | settings
    async with served(place, workers, "--config", str(file), settings=more) as gateway:
        assert await get(gateway, "/v1/echo/a") == 200
        assert await get(gateway, "/v1/none") == 404
        assert await get(gateway, "/v1/echo:fail?code=13") == 500
        assert (await ask(gateway.port, "/v1/echo/a", "DELETE", "Connection: close"))[0] == 405
        yield gateway, f"http://127.0.0.1:{port}/"


async def cells(page: Page, table: str, column: int) -> list[str]:
    """The texts of one column."""
    found = await page.run(f"""
        const rows = document.getElementById("{table}").tBodies[0].rows;
        return [...rows].map((row) => row.cells[{column}].textContent);
    """)
    return list(found)


async def test_the_page_shows_the_gateway_and_breaks_no_policy(tmp_path: Path) -> None:
    async with opened(tmp_path, 2) as (gateway, url), open_page(url) as page:
        await page.until("document.body?.dataset.ready")
        captions = await page.run("""
            const tables = [...document.querySelectorAll("table")];
            return tables.map((table) => [table.id, table.caption.textContent !== ""]);
        """)
        assert captions == [[name, True] for name in TABLES]
        await page.until("document.getElementById('workers').tBodies[0].rows.length === 2")
        assert set(await cells(page, "routes", 1)) == {
            "/v1/echo/{text}",
            "/v1/echo:fail",
            "(no route)",
        }
        assert set(await cells(page, "upstreams", 0)) == {"other", "upstream1"}
        assert set(await cells(page, "endpoints", 1)) >= {"127.0.0.1:1"}
        assert await cells(page, "failures", 3) == ["INTERNAL"]
        assert await cells(page, "certificates", 3) == ["5"]
        assert await cells(page, "limits", 1) == ["nobody"]
        assert await cells(page, "limits", 3) == ["1"]
        assert await cells(page, "stores", 1) == ["up"]
        assert await page.run("return document.getElementById('state').textContent") == "ready"

        # It is live: further requests appear without any action.
        for _ in range(5):
            assert await get(gateway, "/v1/echo:fail?code=14") == 503
        await page.until("document.getElementById('failures').tBodies[0].rows.length === 6")
        await page.until(
            "!['0.0', '–'].includes(document.querySelector('#figures dd').textContent)"
        )
        assert page.complaints == []
        outside = await page.run(
            "return performance.getEntriesByType('resource').map((one) => new URL(one.name).origin)"
        )
        assert set(outside) == {url.rstrip("/")}
        sizes = await page.run("""
            const found = (type) => performance.getEntriesByType(type);
            const all = [...found("navigation"), ...found("resource")];
            const files = all.filter((one) => /\\/(page[.]\\w+)?$/.test(one.name));
            return files.map((one) => one.encodedBodySize);
        """)
        assert (len(sizes), 0 < sum(sizes) < 60_000) == (3, True)


async def test_hostile_names_are_text(tmp_path: Path) -> None:
    async with opened(tmp_path) as (gateway, url), open_page(url) as page:
        path = f"/v1/echo:fail?code=13&message={HOSTILE}".replace(" ", "%20")
        assert await get(gateway, path) in (400, 500)
        raw = f"/v1/echo/{HOSTILE}:nothing".replace(" ", "/")
        await get(gateway, raw)
        await page.until("document.body?.dataset.ready")
        assert await cells(page, "certificates", 1) == [f"CN={HOSTILE}"]
        assert await page.run("return document.querySelectorAll('img').length") == 0
        assert await page.run("return document.body.dataset.hacked ?? ''") == ""
        assert page.complaints == []


async def press(page: Page, key: str, code: int, text: str = "") -> None:
    """Presses a key, as a user does."""
    for kind in ("keyDown", "keyUp"):
        await page.ask(
            "Input.dispatchKeyEvent",
            type=kind,
            key=key,
            code=key,
            windowsVirtualKeyCode=code,
            **({"text": text} if text and kind == "keyDown" else {}),
        )


async def test_the_keyboard_sorts_and_pauses(tmp_path: Path) -> None:
    focused = "return document.activeElement.textContent"
    async with opened(tmp_path) as (_, url), open_page(url) as page:
        await page.until("document.body?.dataset.ready")
        seen = []
        for _ in range(12):
            await press(page, "Tab", 9)
            seen.append(await page.run(focused))
        assert seen[0] == "Skip to the figures"
        assert seen[1:11] == [
            *("Routes", "Upstreams", "Endpoints", "Limits", "Stores", "Failures"),
            *("Workers", "Nodes", "Certificates"),
            "Pause",
        ]
        await press(page, "Tab", 9)
        await press(page, "Tab", 9)  # the region, then the headers of its columns
        assert await page.run(focused) == "route"
        await press(page, "Enter", 13, "\r")
        assert await cells(page, "routes", 1) == sorted(await cells(page, "routes", 1))
        assert await page.run("return document.activeElement.closest('th').ariaSort") == "ascending"
        # The next figures take neither the order nor the focus away.
        samples = await page.run("return samples.length")
        await page.until(f"samples.length > {samples}")
        assert await page.run(focused) == "route"
        await page.run("document.getElementById('pause').focus()")
        await press(page, "Enter", 13, "\r")
        assert await page.run("return document.activeElement.ariaPressed") == "true"


async def test_it_is_dark_for_those_who_prefer_that(tmp_path: Path) -> None:
    back = "return getComputedStyle(document.body).backgroundColor"
    async with opened(tmp_path) as (_, url), open_page(url) as page:
        await page.until("document.body?.dataset.ready")
        for scheme, colour in (("light", "rgb(255, 255, 255)"), ("dark", "rgb(13, 17, 23)")):
            features = [{"name": "prefers-color-scheme", "value": scheme}]
            await page.ask("Emulation.setEmulatedMedia", features=features)
            assert await page.run(back) == colour


async def test_it_asks_for_the_token(tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    shown = "!document.getElementById('token-form').hidden"
    token_file = tmp_path / "token"
    async with opened(tmp_path, ADMIN__TOKEN_FILE=token_file) as (_, url), open_page(url) as page:
        port = int(url.rstrip("/").rpartition(":")[2])
        assert (await ask(port, "/", "GET"))[0] == 200
        assert (await ask(port, "/", "GET", "Host: evil.example"))[0] == 421
        assert (await ask(port, "/", "POST", "Content-Type: application/json"))[0] == 401
        assert (await ask(port, "/failures", "GET"))[0] == 401
        for token, condition in (("wrong", shown), (TOKEN, "document.body.dataset.ready")):
            await page.until(shown)
            await page.run(f"document.getElementById('token').value = '{token}'")
            await page.run("document.getElementById('token-form').requestSubmit()")
            await page.until(condition)
        assert await page.run(f"return {shown}") is False


async def test_failures_and_traffic_are_json_too(tmp_path: Path) -> None:
    async with opened(tmp_path, 2) as (gateway, url):
        port = int(url.rstrip("/").rpartition(":")[2])
        for _ in range(60):
            assert await get(gateway, "/v1/echo:fail?code=13") == 500
        found = await ask_json(port, "/failures")
        assert len(found["failures"]) == 50
        times = [one["time"] for one in found["failures"]]
        assert times == sorted(times, reverse=True)
        latest = found["failures"][0]
        assert (latest["route"], latest["path"]) == ("/v1/echo:fail", "/v1/echo:fail")
        assert (latest["status"], latest["code"], latest["error_type"]) == (500, "INTERNAL", "500")
        await asyncio.sleep(1.1)  # sums are sent again for a second
        found = await ask_json(port, "/traffic")
        total = found["total"]
        assert (total["failures"], total["client_errors"]) == (61, 2)
        assert total["requests"] == sum(total["buckets"]) == 64
        assert len(total["buckets"]) == len(found["bounds_s"]) + 1
        assert found["limits"] == [{"kind": "filter", "name": "nobody", "refused": 1}]
        (store,) = found["stores"]
        assert (store["name"], store["up"], store["failures"]) == ("counters", True, 0)
        assert {one["route"] for one in found["routes"]} == {
            *("/v1/echo/{text}", "/v1/echo:fail", ""),
        }
        (called,) = found["upstreams"]
        assert (called["name"], called["requests"], called["failures"]) == ("upstream1", 62, 61)
