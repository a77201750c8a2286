"""The format of a stream where the client leaves it open, and its form, by settings."""

import asyncio
import json
from typing import Any

import pytest

from tests.support.http import connected, echo_gateway

PATH = "/v1/echo/a:repeat?count=2"
FAILS = f"{PATH}&code=15"


@pytest.mark.parametrize("accept", ["", "Accept: */*", "Accept: application/*"])
async def test_an_array_is_the_default_by_setting(accept: str) -> None:
    async with echo_gateway(streams={"format": "array"}) as gateway, connected(gateway) as client:
        answer = await client.get(PATH, *filter(None, [accept]))
        assert answer.header("Content-Type") == "application/json"
        assert [item["number"] for item in answer.json()] == [1, 2]


async def test_a_client_that_names_a_format_gets_it() -> None:
    async with echo_gateway(streams={"format": "sse"}) as gateway, connected(gateway) as client:
        assert (await client.get(PATH)).header("Content-Type") == "text/event-stream"
        answer = await client.get(PATH, "Accept: application/x-ndjson, */*;q=0.5")
        assert answer.header("Content-Type") == "application/x-ndjson"


async def test_an_array_that_fails_is_cut_by_setting() -> None:
    settings = {"format": "array", "array_failure": "cut"}
    async with echo_gateway(streams=settings) as gateway, connected(gateway) as client:
        assert (await client.get(PATH)).json()[1]["number"] == 2
        with pytest.raises(asyncio.IncompleteReadError):
            await client.get(FAILS)


@pytest.mark.parametrize("accept", ["application/x-ndjson", "application/json"])
async def test_messages_are_wrapped_as_results_by_setting(accept: str) -> None:
    async with echo_gateway(streams={"wrap": "result"}) as gateway, connected(gateway) as client:
        answer = await client.get(FAILS, f"Accept: {accept}")
        items: list[Any] = (
            answer.json()
            if accept == "application/json"
            else [json.loads(line) for line in answer.body.splitlines()]
        )
        assert [item["result"]["number"] for item in items[:2]] == [1, 2]
        assert set(items[2]) == {"error"}
        # One reply is no stream.
        assert "result" not in (await client.get("/v1/echo/a")).json()


async def test_protobuf_is_not_wrapped() -> None:
    async with echo_gateway(streams={"wrap": "result"}) as gateway, connected(gateway) as client:
        answer = await client.get(PATH, "Accept: application/x-protobuf")
        assert b"result" not in answer.body


async def test_a_stream_is_served_to_a_client_that_accepts_no_format_by_setting() -> None:
    async with (
        echo_gateway(json={"unacceptable": "serve"}) as gateway,
        connected(gateway) as client,
    ):
        answer = await client.get(PATH, "Accept: image/png")
        assert answer.header("Content-Type") == "application/x-ndjson"
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert (await client.get(PATH, "Accept: image/png")).status == 406
