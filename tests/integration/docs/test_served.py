"""The document and its page, as clients of a running gateway get them."""

import gzip
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import ClientSession
from openapi_schema_validator import OAS31Validator

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.command_line import run
from tests.support.servers import library_server

DESCRIPTORS = str(Path(__file__).parents[3] / "gen/descriptors.binpb")
PLAIN = {"Accept-Encoding": "identity"}
BOTH: dict[str, Any] = {"openapi": {"enabled": True}, "docs": {"enabled": True}}


@pytest.fixture
async def client() -> AsyncIterator[ClientSession]:
    """A client of a gateway before the library, which serves the document and the page."""
    async with library_server() as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "descriptors": [DESCRIPTORS],
                "services": ["library.v1.*"],
                "upstreams": {"library": {"target": address}},
                "log": {"access": "off"},
                **BOTH,
            }
        )
        async with (
            open_gateway(config) as gateway,
            ClientSession(gateway.url, headers=PLAIN, auto_decompress=False) as session,
        ):
            yield session


async def test_json_and_yaml_hold_the_same(client: ClientSession) -> None:
    async with client.get("/openapi.json") as answer:
        assert answer.headers["Content-Type"] == "application/json"
        document = await answer.json()
    async with client.get("/openapi.yaml") as answer:
        assert answer.headers["Content-Type"] == "application/yaml"
        assert yaml.safe_load(await answer.text()) == document
    assert document["openapi"] == "3.1.1"
    assert document["paths"]["/v1/shelves/{shelf}"]["get"]["summary"] == "Gets a shelf."


async def test_a_client_that_has_the_document_does_not_get_it_again(client: ClientSession) -> None:
    packed = {"Accept-Encoding": "gzip"}
    async with client.get("/openapi.json") as answer:
        body, tag = await answer.read(), answer.headers["ETag"]
        assert answer.headers["Cache-Control"] == "no-cache"
    async with client.get("/openapi.json", headers=packed) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers.getall("Vary") == ["Accept-Encoding"]
        assert gzip.decompress(await answer.read()) == body
        packed_tag = answer.headers["ETag"]
    assert packed_tag != tag  # RFC 9110 section 8.8.3.3
    for one in (tag, packed_tag, f'"x", W/{tag}', "*"):
        async with client.get("/openapi.json", headers={"If-None-Match": one}) as answer:
            assert (answer.status, await answer.read()) == (304, b"")
    async with client.get("/openapi.json", headers={"If-None-Match": '"x"'}) as answer:
        assert answer.status == 200


async def test_a_request_selects_the_version_and_a_part(client: ClientSession) -> None:
    async def read(query: str, ending: str = "json") -> Any:
        async with client.get(f"/openapi.{ending}?{query}") as answer:
            assert answer.status == 200, await answer.text()
            return yaml.safe_load(await answer.text())

    whole = await read("other=1")
    assert (await read("version=3.2"))["openapi"] == "3.2.0"
    assert (await read("version=3.2", "yaml"))["openapi"] == "3.2.0"
    assert (await read("version=3.1")) == whole
    assert (await read("package=library.v1")) == whole
    (service,) = [one["name"] for one in whole["tags"] if one["name"].endswith("LibraryService")]
    part = await read(f"service={service}")
    assert [one["name"] for one in part["tags"]] == [service]
    assert part["paths"].keys() <= whole["paths"].keys()


@pytest.mark.parametrize(
    "query",
    [
        "version=3",
        "version=",
        "service=library.v1",
        "service=library.v1.None",
        "package=library",
        "package=library.v1&package=library.v1",
        "service=",
    ],
)
async def test_a_part_that_is_not_there_is_refused(client: ClientSession, query: str) -> None:
    async with client.get(f"/openapi.json?{query}") as answer:
        error = (await answer.json())["error"]
    (violation,) = error["details"][0]["fieldViolations"]
    assert (answer.status, violation["field"]) == (400, query.partition("=")[0])
    assert violation["description"].startswith("expected ")


async def test_only_get_and_head_are_served(client: ClientSession) -> None:
    async with client.head("/openapi.json") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    async with client.post("/openapi.json") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "GET, HEAD, OPTIONS")


async def test_the_page_and_all_that_it_loads_come_from_here(client: ClientSession) -> None:
    async with client.get("/docs") as answer:
        policy = answer.headers["Content-Security-Policy"]
        page = await answer.text()
    assert {"default-src 'none'", "script-src 'self'", "connect-src 'self'"} <= {
        *policy.split("; ")
    }
    assert "<script>" not in page
    # For readers without JavaScript.
    assert "<li><code>GET /v1/{name=shelves/*}</code> Gets a shelf.</li>" in page
    names = re.findall(r'(?:src|href|data-document)="([^"]+)"', page)
    for name in set(names) - {"data:,"}:
        assert "://" not in name
        async with client.get(f"/{name}") as answer:
            assert answer.status == 200, name
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.parametrize(
    ("path", "template"),
    [
        ("/v1/shelves", "/v1/shelves"),
        ("/v1/shelves/fiction", "/v1/shelves/{shelf}"),
        ("/v1/shelves/fiction/books", "/v1/shelves/{shelf}/books"),
        ("/v1/shelves/fiction/books/solaris", "/v1/shelves/{shelf}/books/{book}"),
        ("/v1/books:batchGet?names=shelves/fiction/books/solaris", "/v1/books:batchGet"),
        ("/v1/shelves/nowhere", "/v1/shelves/{shelf}"),
    ],
)
async def test_answers_are_as_the_document_says(
    client: ClientSession, path: str, template: str
) -> None:
    async with client.get("/openapi.json") as answer:
        document = json.loads(await answer.read())
    async with client.get(path) as answer:
        status, body = answer.status, json.loads(await answer.read())
    response = document["paths"][template]["get"]["responses"][str(status)]
    place = response.get("$ref", "").removeprefix("#/components/responses/")
    stated = document["components"]["responses"][place] if place else response
    schema = stated["content"]["application/json"]["schema"]
    # References stand for parts of the document, which is the schema's own root here.
    OAS31Validator({**schema, "components": document["components"]}).validate(body)


async def test_nothing_is_described_unless_the_settings_say_so() -> None:
    config = Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "descriptors": [DESCRIPTORS],
            "services": ["library.v1.*"],
            "upstreams": {"library": {"target": "127.0.0.1:1"}},
            "log": {"access": "off"},
        }
    )
    async with open_gateway(config) as gateway, ClientSession(gateway.url) as session:
        for path in ("/openapi.json", "/openapi.yaml", "/docs"):
            async with session.get(path) as answer:
                assert answer.status == 404


def test_the_command_prints_the_document() -> None:
    as_json = run("openapi", "--descriptors", DESCRIPTORS)
    as_yaml = run("openapi", "--descriptors", DESCRIPTORS, "--format", "yaml")
    assert (as_json.returncode, as_yaml.returncode) == (0, 0)
    assert json.loads(as_json.stdout) == yaml.safe_load(as_yaml.stdout)


def test_the_command_takes_a_version() -> None:
    found = run("openapi", "--descriptors", DESCRIPTORS, "--version", "3.2")
    assert json.loads(found.stdout)["openapi"] == "3.2.0"
    assert run("openapi", "--descriptors", DESCRIPTORS, "--version", "2.0").returncode == 2


def test_the_command_needs_a_schema() -> None:
    done = run("openapi")
    assert done.returncode == 1
    assert "there is no schema" in done.stderr


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"GATEWAY_DOCS__ENABLED": "true"}, "docs.enabled needs openapi.enabled"),
        ({"GATEWAY_OPENAPI__PATH": "openapi"}, "openapi.path"),
        ({"GATEWAY_DOCS__PATH": "/docs/"}, "docs.path"),
        ({"GATEWAY_OPENAPI__SERVERS": "[ftp://x]"}, "openapi.servers[0]"),
        (
            {
                "GATEWAY_OPENAPI__ENABLED": "true",
                "GATEWAY_DOCS__ENABLED": "true",
                "GATEWAY_DOCS__ASSETS": "/nowhere",
            },
            "docs.assets: /nowhere has no file swagger-ui-bundle.js",
        ),
    ],
)
def test_wrong_settings_are_refused(settings: dict[str, str], words: str) -> None:
    done = run("check", "--descriptors", DESCRIPTORS, "--upstream", "127.0.0.1:1", **settings)
    assert done.returncode == 1
    assert words in done.stderr


async def test_the_rules_of_the_sample_are_described_and_checked() -> None:
    async with library_server() as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.library.v1"],
                "upstreams": {"library": {"target": address}},
                "validation": "protovalidate+field_behavior",
                "log": {"access": "off"},
                **BOTH,
            }
        )
        async with open_gateway(config) as gateway, ClientSession(gateway.url) as client:
            async with client.get("/openapi.json") as answer:
                schemas = (await answer.json())["components"]["schemas"]
            book = {"authors": ["Jane Austen", ""], "pageCount": -1}
            async with client.post("/v1/shelves/fiction/books", json=book) as answer:
                assert answer.status == 400
                (detail,) = (await answer.json())["error"]["details"]
    described = schemas["library.v1.BookInput"]["properties"]
    assert described["pageCount"].items() >= {"minimum": 0, "maximum": 100000}.items()
    assert described["authors"]["items"].items() >= {"minLength": 1, "maxLength": 200}.items()
    fields = {violation["field"] for violation in detail["fieldViolations"]}
    assert fields == {"book.authors[1]", "book.pageCount", "book.title"}
