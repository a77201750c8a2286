"""A real Chromium's view of the page: it shows every operation, and calls are made from it."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.app.gateway import open_gateway
from gateway.auth.keys.api_keys import ApiKeys, KeyRequest
from gateway.config.model import Config
from gateway.stores.opening import open_store
from services import auth, echo
from services.serving import serve
from tests.support.page import Page, open_page

pytestmark = pytest.mark.slow
DESCRIPTORS = str(Path(__file__).parents[3] / "gen/descriptors.binpb")


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    """The page of the echo service, which has variables of any length."""
    async with serve(echo.register) as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [DESCRIPTORS],
                "services": ["echo.v1.*"],
                "upstreams": {"echo": {"target": address}},
                "log": {"access": "off"},
                "openapi": {"enabled": True},
                "docs": {"enabled": True},
            }
        )
        async with open_gateway(config) as gateway:
            # No link can make the page show another document, and send credentials elsewhere.
            link = f"{gateway.url}/docs?url=/other.json&urls=/other.json&configUrl=/other.json"
            async with open_page(link) as page:
                await page.until("document.body?.dataset.ready")
                yield page


async def try_it(page: Page, operation: str, **values: str) -> Any:
    """The JSON that an operation answers when it is tried with these parameters."""
    return json.loads(
        await page.run(f"""
            const values = {json.dumps(values)};
            const until = async (find) => {{
              for (;;) {{
                const found = find();
                if (found) return found;
                await new Promise((next) => setTimeout(next, 50));
              }}
            }};
            const block = await until(() => document.querySelector('[id$="-{operation}"]'));
            block.querySelector(".opblock-summary-control").click();
            (await until(() => block.querySelector(".try-out__btn"))).click();
            for (const [name, value] of Object.entries(values)) {{
              const row = `tr[data-param-name="${{name}}"] input`;
              const input = await until(() => block.querySelector(row));
              const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
              set.call(input, value);
              input.dispatchEvent(new Event("input", {{bubbles: true}}));
            }}
            // The page takes over what is typed once nothing was typed for 350 ms.
            await new Promise((next) => setTimeout(next, 1500));
            (await until(() => block.querySelector(".execute"))).click();
            const answer = ".live-responses-table .highlight-code code";
            return (await until(() => block.querySelector(answer))).textContent;
        """)
    )


async def test_the_page_shows_every_operation_and_breaks_no_policy(page: Page) -> None:
    shown = await page.run("return document.querySelectorAll('.opblock').length")
    described = await page.run("""
        const document_ = await (await fetch("/openapi.json")).json();
        return Object.values(document_.paths).flatMap(Object.keys).length;
    """)
    assert shown == described > 5
    assert page.complaints == []


async def test_an_operation_is_tried(page: Page) -> None:
    answer = await try_it(page, "EchoService_Echo", text="hello", number="7")
    assert (answer["text"], answer["number"]) == ("hello", 7)


async def test_the_slashes_of_a_variable_of_any_length_arrive_as_they_are(page: Page) -> None:
    operation = await page.run("""
        const document_ = await (await fetch("/openapi.json")).json();
        return document_.paths["/v1/echo/any/{rest}"].get.operationId;
    """)
    answer = await try_it(page, operation, rest="a/b c/d")
    assert answer["rest"] == "a/b c/d"
    # Those of other variables stay encoded, also where paths are nearly the same.
    decoded = await page.run("""
        const deep = (name) => ({get: {parameters: [{name, "x-wildcard": true}]}});
        const paths = {
          "/v1/{one}/{rest}": deep("rest"),
          "/v1/{name}:read": {get: {}},
          "/files/{path}": deep("path"),
          "/v1/files/{id}": {get: {}},
        };
        const servers = [{url: "/"}, {url: "https://b.example/base/"}];
        const decoded = (path) => {
          const known = pathTemplates({paths, servers: path.startsWith("v1") ? [] : servers});
          return withSlashes(`https://b.example/${path}`, "GET", known).slice(18);
        };
        const deepOnes = ["v1/a%2Fb/a%2Fb?c=%2F", "base/v1/a/b%2fc", "files/a%2Fb"];
        return [...deepOnes, "v1/a%2Fb:read", "v1/files/a%2Fb"].map(decoded);
    """)
    assert decoded == [
        "v1/a%2Fb/a/b?c=%2F",
        "base/v1/a/b/c",
        "files/a/b",
        "v1/a%2Fb:read",
        "v1/files/a%2Fb",
    ]


async def use_key(page: Page, key: str) -> None:
    """Enters an API key as a user does; an empty one removes it."""
    await page.run(f"""
        const until = async (find) => {{
          for (;;) {{
            const found = find();
            if (found) return found;
            await new Promise((next) => setTimeout(next, 50));
          }}
        }};
        const find = (selector) => () => document.querySelector(selector);
        (await until(find(".scheme-container .authorize"))).click();
        const form = await until(find(".auth-container form"));
        const key = {json.dumps(key)};
        if (key) {{
          const input = await until(() => form.querySelector("input"));
          const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
          set.call(input, key);
          input.dispatchEvent(new Event("input", {{bubbles: true}}));
        }}
        const buttons = [...form.querySelectorAll("button")];
        buttons.find((one) => one.textContent === (key ? "Authorize" : "Logout")).click();
        document.querySelector(".close-modal").click();
    """)


async def test_who_enters_a_credential_sees_what_it_allows(tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/store.db"
    method = "echo.v1.EchoService.Echo"
    async with serve(echo.register) as address, open_store(store) as keys:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [DESCRIPTORS],
                "services": ["echo.v1.*"],
                "upstreams": {"echo": {"target": address}},
                "policies": [
                    {"selector": "*", "scopes": {"all": ["hidden"]}},
                    {"selector": method, "scopes": {"all": ["echo"]}},
                ],
                "auth": {"store": store, "order": ["key"]},
                "log": {"access": "off", "audit": "off"},
                "openapi": {"enabled": True, "filter": True},
                "docs": {"enabled": True},
            }
        )
        key = (await ApiKeys(keys).create(KeyRequest("reader", frozenset(["echo"])))).secret
        async with open_gateway(config) as gateway, open_page(f"{gateway.url}/docs") as page:
            await page.until("document.body?.dataset.ready")
            shown = "document.querySelectorAll('.opblock').length"
            assert await page.run(f"return {shown}") == 0
            await use_key(page, key)
            await page.until(f"{shown} > 0")
            answer = await try_it(page, "EchoService_Echo", text="hello")
            assert answer["text"] == "hello"
            await use_key(page, "")
            await page.until(f"{shown} === 0")
            assert page.complaints == []


async def use_token(page: Page, client: str, secret: str) -> None:
    """Asks for a token with all scopes in the dialog for credentials, and closes that."""
    await page.run(f"""
        const until = async (find) => {{
          for (;;) {{
            const found = find();
            if (found) return found;
            await new Promise((next) => setTimeout(next, 50));
          }}
        }};
        const find = (selector) => () => document.querySelector(selector);
        const enter = (input, text) => {{
          const set = Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, "value").set;
          set.call(input, text);
          input.dispatchEvent(new Event("input", {{bubbles: true}}));
        }};
        (await until(find(".scheme-container .authorize"))).click();
        enter(await until(find("#client_id_clientCredentials")), {json.dumps(client)});
        enter(await until(find("#client_secret_clientCredentials")), {json.dumps(secret)});
        document.querySelectorAll(".scopes input").forEach((box) => box.click());
        const form = document.querySelector("#client_id_clientCredentials").closest("form") ??
          document.querySelector(".auth-container");
        [...form.querySelectorAll("button")].find((one) => one.textContent === "Authorize").click();
        await until(() => document.querySelector(".auth-container").innerText.includes("Logout"));
        document.querySelector(".close-modal").click();
    """)


async def operations_without_lock(page: Page) -> Any:
    """The ids of the operations that the page shows as open to everyone."""
    return await page.run("""
        const blocks = [...document.querySelectorAll(".opblock")];
        const open = blocks.filter((one) => !one.querySelector(".authorization__btn"));
        return open.map((one) => one.id.split("-").at(-1));
    """)


async def test_who_asks_for_a_token_on_the_page_calls_with_it(tmp_path: Path) -> None:
    async with serve(echo.register) as address, serve(auth.register) as accounts:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [DESCRIPTORS],
                "services": ["echo.v1.*"],
                "upstreams": {
                    "echo": {"target": address, "services": ["echo.v1.*"]},
                    "auth": {"target": accounts, "services": ["gatewayapi.v1.*"]},
                },
                "policies": [
                    {"selector": "*", "scopes": {"all": ["books.write"]}},
                    {"selector": "echo.v1.EchoService.Sleep", "anonymous": True},
                ],
                "auth": {
                    "store": f"sqlite:///{tmp_path}/store.db",
                    "order": ["token"],
                    "tokens": {"auth_upstream": "auth"},
                },
                "log": {"access": "off", "audit": "off"},
                "openapi": {"enabled": True},
                "docs": {"enabled": True},
            }
        )
        async with open_gateway(config) as gateway, open_page(f"{gateway.url}/docs") as page:
            await page.until("document.body?.dataset.ready")
            assert await operations_without_lock(page) == ["EchoService_Sleep"]
            await use_token(page, "demo", "demo-secret")
            answer = await try_it(page, "EchoService_Echo", text="hello")
            assert answer["text"] == "hello"
            assert "x-principal" in {one["name"] for one in answer["metadata"]}
            kept = await page.run("""
                const databases = (await indexedDB.databases()).length;
                return [localStorage.length, sessionStorage.length, document.cookie, databases];
            """)
            assert kept == [0, 0, "", 0]
            urls = await page.run("""
                const loaded = performance.getEntriesByType("resource").map((one) => one.name);
                return [location.href, ...loaded].join(" ");
            """)
            assert f"{gateway.url}/oauth2/token" in urls
            assert "demo-secret" not in urls
            assert "gwt_" not in urls
            assert page.complaints == []
