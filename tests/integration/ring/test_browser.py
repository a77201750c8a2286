"""A real Chromium's own EventSource, fetch and WebSocket against the sample library."""

from collections.abc import AsyncIterator

import pytest

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from tests.support.browser import Browser, browser
from tests.support.servers import library_server


@pytest.fixture
async def chromium() -> AsyncIterator[Browser]:
    """A browser before the library."""
    async with library_server() as address:
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "modules": ["gen.library.v1"],
                "upstreams": {"library": {"target": address}},
                "log": {"access": "off"},
            }
        )
        async with open_gateway(config) as gateway, browser(gateway.address) as opened:
            yield opened


async def test_an_event_source_reads_events(chromium: Browser) -> None:
    seen = await chromium.run("""
        const source = new EventSource("/v1/shelves/fiction/books:watch?existing=true");
        const events = [];
        await new Promise((resolve, reject) => {
          source.onmessage = (event) => {
            events.push({id: event.lastEventId, data: JSON.parse(event.data)});
            if (events.length === 3) resolve();
          };
          source.onerror = () => reject(new Error("the stream broke"));
        });
        source.close();
        return events;
    """)
    assert [event["id"] for event in seen] == ["1", "2", "3"]
    assert all("book" in event["data"] for event in seen)


async def test_fetch_reads_lines_as_they_come(chromium: Browser) -> None:
    seen = await chromium.run("""
        const leaving = new AbortController();
        const response = await fetch("/v1/shelves/fiction/books:watch?existing=true",
          {signal: leaving.signal});
        const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
        let text = "";
        while (text.split("\\n").length < 4) text += (await reader.read()).value;
        leaving.abort();
        return {type: response.headers.get("Content-Type"),
          books: text.split("\\n").slice(0, 3).map(JSON.parse)};
    """)
    assert seen["type"] == "application/x-ndjson"
    assert all("book" in book for book in seen["books"])


_DISCUSS = """
    const url = "GATEWAY/v1/shelves/fiction/books/solaris:discuss";
    const socket = new WebSocket(url, PROTOCOLS);
    const frames = [];
    return await new Promise((resolve) => {
      socket.onopen = () => socket.send(JSON.stringify({author: "ada", text: "Hello"}));
      socket.onmessage = (event) => {
        frames.push(JSON.parse(event.data));
        if (frames.length === 1) socket.send("");
      };
      socket.onclose = (event) => resolve({frames, protocol: socket.protocol,
        code: event.code, reason: event.reason, clean: event.wasClean});
    });
"""


def discuss(url: str, protocols: str) -> str:
    return _DISCUSS.replace("GATEWAY", url.replace("http", "ws")).replace("PROTOCOLS", protocols)


@pytest.mark.parametrize(
    ("protocols", "chosen"),
    [
        pytest.param("[]", "", id="unnamed"),
        pytest.param('["grpc-rest.json", "bearer.abc"]', "grpc-rest.json", id="with a token"),
    ],
)
async def test_a_websocket_talks_and_listens(
    chromium: Browser, protocols: str, chosen: str
) -> None:
    seen = await chromium.run(discuss(chromium.url, protocols))
    remark, status = seen["frames"]
    assert (remark["author"], remark["text"]) == ("ada", "Hello")
    assert status["@status"]["code"] == 0
    assert (seen["code"], seen["clean"], seen["protocol"]) == (1000, True, chosen)


async def test_a_websocket_learns_what_went_wrong(chromium: Browser) -> None:
    script = discuss(chromium.url, "[]").replace("solaris", "nothing")
    seen = await chromium.run(script)
    assert seen["frames"][-1]["@status"]["code"] == 5
    assert (seen["code"], seen["clean"]) == (4005, True)
    assert seen["reason"].startswith("NOT_FOUND: ")


async def test_a_page_of_another_site_gets_no_websocket(chromium: Browser) -> None:
    seen = await chromium.run(discuss(chromium.url, "[]"), origin=chromium.elsewhere)
    assert (seen["frames"], seen["code"]) == ([], 1006)
