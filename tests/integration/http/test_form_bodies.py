"""Forms without files as query parameters, by `query.form_bodies`."""

from collections.abc import AsyncIterator

import pytest

from tests.support.http import Answer, RawClient, connected, echo_gateway

FORM = "application/x-www-form-urlencoded"


async def sent(client: RawClient, target: str, body: str, media_type: str = FORM) -> Answer:
    head = f"POST {target} HTTP/1.1\r\nHost: t\r\nContent-Type: {media_type}\r\n"
    await client.send(f"{head}Content-Length: {len(body)}\r\n\r\n{body}")
    return await client.answer()


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    settings = {"form_bodies": True}
    async with echo_gateway(query=settings) as gateway, connected(gateway) as opened:
        yield opened


async def test_a_form_sent_by_post_is_the_query_of_a_get(client: RawClient) -> None:
    answer = await sent(client, "/v1/echo/a?words=x", "words=y+z&number=7&inner.text=b")
    assert answer.status == 200, answer.body
    said = answer.json()
    assert (said["text"], said["number"], said["words"]) == ("a", 7, ["x", "y z"])
    assert said["inner"]["text"] == "b"


async def test_a_form_may_also_start_a_stream(client: RawClient) -> None:
    answer = await sent(client, "/v1/echo/a:repeat", "count=2")
    assert len(answer.body.splitlines()) == 2


@pytest.mark.parametrize(
    ("target", "media_type", "status"),
    [
        ("/v1/echo/a", "application/json", 405),
        ("/v1/nowhere", FORM, 404),
        ("/v1/echo", FORM, 415),  # its POST takes a message as the body
    ],
)
async def test_other_requests_are_as_before(
    client: RawClient, target: str, media_type: str, status: int
) -> None:
    assert (await sent(client, target, "number=7", media_type)).status == status


async def test_without_the_setting_a_form_is_refused() -> None:
    async with echo_gateway() as gateway, connected(gateway) as client:
        assert (await sent(client, "/v1/echo/a", "number=7")).status == 405


async def test_a_form_has_the_limits_of_a_query(client: RawClient) -> None:
    answer = await sent(client, "/v1/echo/a", "words=x&" * 1001)
    assert answer.status == 400
    assert "more than 1000 query parameters" in answer.body.decode()
