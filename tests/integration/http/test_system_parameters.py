"""System parameters of Google's REST clients: about the response, never fields of the request."""

import json
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest

from gateway.app.gateway import Gateway, open_gateway
from gateway.config.model import Config
from tests.support.http import RawClient, connected, echo_gateway
from tests.support.servers import library_server

BOOK = "/v1/shelves/fiction/books/solaris"


async def opened(settings: Mapping[str, Any]) -> AsyncIterator[Gateway]:
    async with library_server() as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.library.v1"],
                "upstreams": {"library": {"target": address}},
                "log": {"access": "off"},
                **settings,
            }
        )
        async with open_gateway(config) as gateway:
            yield gateway


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    async for gateway in opened({"compat": "google"}):
        async with connected(gateway) as found:
            yield found


@pytest.mark.parametrize("name", ["$alt", "%24alt", "alt"])
async def test_enums_are_numbers_where_that_is_asked_for(client: RawClient, name: str) -> None:
    plain = (await client.get(BOOK)).json()
    asked = (await client.get(f"{BOOK}?{name}=json;enum-encoding=int")).json()
    assert isinstance(plain["genre"], str)
    assert isinstance(asked["genre"], int)
    assert asked["formats"] == [2, 3]
    assert asked["title"] == plain["title"]


async def test_a_reply_is_protobuf_or_indented_where_that_is_asked_for(client: RawClient) -> None:
    answer = await client.get(f"{BOOK}?$alt=proto", "Accept: application/json")
    assert answer.header("Content-Type") == "application/x-protobuf"
    assert b"\n  " in (await client.get(f"{BOOK}?$prettyPrint=true")).body
    assert b"\n" not in (await client.get(f"{BOOK}?prettyPrint=false&$alt=json")).body


async def test_the_messages_of_a_stream_have_the_chosen_members() -> None:
    async with echo_gateway(compat="google") as gateway, connected(gateway) as client:
        answer = await client.get("/v1/echo/a:repeat?count=2&$fields=number")
        assert answer.json() == [{"number": 1}, {"number": 2}]
        answer = await client.get("/v1/echo/a:repeat", "X-Goog-FieldMask: nothing")
        assert answer.status == 400


async def test_more_choices_than_are_kept_are_answered(client: RawClient) -> None:
    for number in range(300):
        path = f"{BOOK}?fields=name,{'title,' * number}title"
        assert set((await client.get(path)).json()) == {"name", "title"}


async def test_a_stream_is_one_array_or_events() -> None:
    async with echo_gateway(compat="google") as gateway, connected(gateway) as client:
        path = "/v1/echo/a:repeat?count=2"
        answer = await client.get(f"{path}&$alt=json;enum-encoding=int", "Accept: */*")
        assert [message["number"] for message in answer.json()] == [1, 2]
        answer = await client.get(f"{path}&$alt=sse")
        assert answer.header("Content-Type") == "text/event-stream"


@pytest.mark.parametrize(
    "query", ["$.xgafv=2", "key=abc", "$key=abc", "quotaUser=me", "$alt=media", "$alt=sse"]
)
async def test_what_changes_nothing_here_is_taken(client: RawClient, query: str) -> None:
    assert (await client.get(f"{BOOK}?{query}")).status == 200


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ("$alt=xml", "$alt: expected json"),
        ("$alt=json;enum-encoding=text", "$alt: expected json"),
        ("$prettyPrint=maybe", "$prettyPrint: expected true or false"),
        ("$fields=nothing", '$fields: "nothing" ends in a name that the reply lacks'),
        ("$callback=f", "$callback: no such system parameter"),
    ],
)
async def test_an_unknown_one_is_refused(client: RawClient, query: str, says: str) -> None:
    answer = await client.get(f"{BOOK}?{query}")
    assert answer.status == 400
    assert says in answer.json()["error"]["message"]


async def test_they_are_unknown_parameters_without_the_setting() -> None:
    async for gateway in opened({}):
        async with connected(gateway) as client:
            answer = await client.get(f"{BOOK}?$alt=json")
            assert answer.status == 400
            assert json.loads(answer.body)["error"]["message"].startswith("$alt: no such query")
