"""A change under a condition that nothing evaluates is refused, where the settings say so."""

import pytest

from tests.support.http import connected, echo_gateway


@pytest.mark.parametrize(
    ("line", "setting", "status"),
    [
        pytest.param("POST /v1/echo:sendMetadata", "refuse", 412, id="refused"),
        pytest.param("POST /v1/echo:sendMetadata", "forward", 200, id="the default forwards it"),
        pytest.param("GET /v1/echo/a", "refuse", 200, id="a method that only reads"),
    ],
)
async def test_if_match_without_an_etag(line: str, setting: str, status: int) -> None:
    async with (
        echo_gateway(resources={"if_match": setting}) as gateway,
        connected(gateway) as client,
    ):
        body = "{}" if line.startswith("POST") else ""
        head = f'{line} HTTP/1.1\r\nHost: t\r\nIF-Match: "a"\r\nContent-Length: {len(body)}'
        await client.send(f"{head}\r\n\r\n{body}")
        answer = await client.answer()
        assert answer.status == status, answer.body
        if status == 412:
            assert "If-Match cannot be evaluated" in answer.json()["error"]["message"]
