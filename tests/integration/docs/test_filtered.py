"""With `openapi.filter`, each caller's document has what this caller may call, and no more."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.app.gateway import open_gateway
from gateway.auth.keys.api_keys import ApiKeys, KeyRequest
from gateway.config.model import Config
from gateway.stores.opening import open_store

DESCRIPTORS = str(Path(__file__).parents[3] / "gen/descriptors.binpb")
ECHO = "echo.v1.EchoService."
POLICIES: list[dict[str, Any]] = [
    {"selector": f"{ECHO}Echo", "anonymous": True},
    {"selector": f"{ECHO}Sleep", "anonymous": False},
    {"selector": f"{ECHO}Fail", "scopes": {"all": ["fail", "admin"]}},
    {"selector": f"{ECHO}Repeat", "scopes": {"any": ["repeat", "admin"]}},
    {"selector": f"{ECHO}SendMetadata", "scopes": {"all": ["hidden"]}},
]


@dataclass
class Readers:
    """Callers with keys of different scopes, and a gateway whose back end is never called."""

    session: ClientSession
    keys: ApiKeys

    async def key(self, *scopes: str) -> dict[str, str]:
        """The header with a new key of these scopes."""
        made = await self.keys.create(KeyRequest("reader", frozenset(scopes)))
        return {"X-API-Key": made.secret}

    async def read(self, headers: Mapping[str, str]) -> tuple[str, Mapping[str, str]]:
        """The document of a caller as text, and the headers of the response."""
        async with self.session.get("/openapi.json", headers=headers) as answer:
            assert answer.status == 200
            return await answer.text(), answer.headers


@pytest.fixture
async def readers(tmp_path: Path) -> AsyncIterator[Readers]:
    store = f"sqlite:///{tmp_path}/store.db"
    settings = {
        "listen": "127.0.0.1:0",
        "descriptors": [DESCRIPTORS],
        "services": ["echo.v1.*"],
        "upstreams": {"echo": {"target": "127.0.0.1:1"}},
        "policies": POLICIES,
        "auth": {"store": store},
        "openapi": {"enabled": True, "filter": True},
        "log": {"access": "off", "audit": "off"},
    }
    async with (
        open_gateway(Config.model_validate(settings)) as gateway,
        open_store(store) as keys,
        ClientSession(gateway.url) as session,
    ):
        yield Readers(session, ApiKeys(keys))


METHODS = ("Echo", "Sleep", "Fail", "Repeat", "SendMetadata")


def named(text: str) -> set[str]:
    """The methods whose operations, or whose request types, a document names."""
    return {
        name
        for name in METHODS
        if f"EchoService_{name}" in text or f"echo.v1.{name}Request" in text
    }


@pytest.mark.parametrize(
    ("scopes", "visible"),
    [
        (None, {"Echo"}),
        ((), {"Echo", "Sleep"}),
        (("other",), {"Echo", "Sleep"}),
        (("fail",), {"Echo", "Sleep"}),
        (("repeat",), {"Echo", "Sleep", "Repeat"}),
        (("admin",), {"Echo", "Sleep", "Repeat"}),
        (("fail", "admin"), {"Echo", "Sleep", "Repeat", "Fail"}),
    ],
)
async def test_a_caller_sees_what_they_may_call(
    readers: Readers, scopes: tuple[str, ...] | None, visible: set[str]
) -> None:
    headers = {} if scopes is None else await readers.key(*scopes)
    text, answered = await readers.read(headers)
    assert named(text) == visible
    # Neither types nor scopes of what is hidden are named.
    assert "hidden" not in text
    assert ("SleepResponse" in text) == ("Sleep" in visible)
    assert answered["Cache-Control"] == "private, no-cache"
    assert "Authorization, X-API-Key" in ", ".join(answered.getall("Vary"))  # type: ignore[attr-defined]


async def test_an_invalid_credential_is_refused(readers: Readers) -> None:
    for headers in ({"X-API-Key": "gwk_none"}, {"Authorization": "Bearer x"}):
        async with readers.session.get("/openapi.json", headers=headers) as answer:
            assert answer.status == 401
            assert named(await answer.text()) == set()


async def test_a_caller_does_not_get_304_for_the_document_of_another(readers: Readers) -> None:
    _, mine = await readers.read(await readers.key("repeat"))
    headers = {"If-None-Match": mine["ETag"]}
    async with readers.session.get("/openapi.json", headers=headers) as answer:
        assert answer.status == 200
        assert named(await answer.text()) == {"Echo"}
    again = {**headers, **await readers.key("repeat", "unknown")}
    async with readers.session.get("/openapi.json", headers=again) as answer:
        assert answer.status == 304


async def test_yaml_is_filtered_too(readers: Readers) -> None:
    async with readers.session.get("/openapi.yaml") as answer:
        assert named(await answer.text()) == {"Echo"}


async def test_documents_are_right_whichever_were_made_before(readers: Readers) -> None:
    """More sets of rights than are kept, twice: none gets the document of another."""
    words = ("fail", "repeat", "admin", "hidden")
    keys = [
        ({one for at, one in enumerate(words) if number >> at & 1}, number) for number in range(16)
    ]
    made = [(scopes, await readers.key(*scopes)) for scopes, _ in keys]
    for _ in range(2):
        for scopes, headers in made:
            wanted = {"Echo", "Sleep"}
            wanted |= {"Fail"} if {"fail", "admin"} <= scopes else set()
            wanted |= {"Repeat"} if scopes & {"repeat", "admin"} else set()
            wanted |= {"SendMetadata"} if "hidden" in scopes else set()
            text, _headers = await readers.read(headers)
            assert named(text) == wanted
        assert named((await readers.read({}))[0]) == {"Echo"}  # the seventeenth


async def test_a_part_that_the_caller_may_not_call_is_as_one_that_is_not_there(
    tmp_path: Path,
) -> None:
    settings = {
        "listen": "127.0.0.1:0",
        "descriptors": [DESCRIPTORS],
        "services": ["echo.v1.*", "library.v1.*"],
        "upstreams": {"echo": {"target": "127.0.0.1:1"}},
        "policies": [
            {"selector": "*", "anonymous": True},
            {"selector": "library.v1.*", "scopes": {"all": ["read"]}},
        ],
        "auth": {"store": f"sqlite:///{tmp_path}/store.db"},
        "openapi": {"enabled": True, "filter": True},
        "log": {"access": "off", "audit": "off"},
    }
    async with (
        open_gateway(Config.model_validate(settings)) as gateway,
        ClientSession(gateway.url) as session,
    ):

        async def read(package: str) -> tuple[int, str]:
            async with session.get(f"/openapi.json?package={package}") as answer:
                return answer.status, await answer.text()

        assert (await read("echo.v1"))[0] == 200
        for _ in range(2):
            assert await read("library.v1") == await read("library.v2")
        assert (await read("library.v1"))[0] == 400
