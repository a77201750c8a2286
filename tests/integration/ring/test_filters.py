"""Requests that are turned away, and tricks that do not help them."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.filters import FilterRule
from gateway.config.model import Config
from tests.support.http import Answer, connected, echo_gateway

ECHO = "/v1/echo/hello"
Fields = Sequence[str]


async def status(rule: Mapping[str, Any], start: str, *fields: str, **settings: Any) -> int:
    """The status that a gateway with one rule answers with to a request sent as it stands."""
    return (await ask(rule, start, *fields, **settings)).status


async def ask(rule: Mapping[str, Any], start: str, *fields: str, **settings: Any) -> Answer:
    """What a gateway with one rule answers to a request that is sent as it stands."""
    filters = [{"name": "rule", **rule}]
    async with (
        echo_gateway(filters=filters, **settings) as gateway,
        connected(gateway) as client,
    ):
        lines = "".join(f"{field}\r\n" for field in fields)
        await client.send(f"{start} HTTP/1.1\r\nHost: test\r\n{lines}\r\n")
        answer: Answer = await client.answer(head_only=start.startswith("HEAD"))
    assert b"rule" not in answer.body
    return answer


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ({"deny_networks": ["127.0.0.0/8"]}, 403),
        ({"allow_networks": ["127.0.0.0/8"]}, 200),
        ({"allow_networks": ["10.0.0.0/8"]}, 403),
        ({"allow_networks": ["127.0.0.0/8"], "deny_networks": ["127.0.0.1/32"]}, 403),
        ({"deny_networks": ["127.0.0.0/8"], "paths": ["/v1/other*"]}, 200),
        ({"deny_networks": ["127.0.0.0/8"], "paths": ["/v1/echo/*"]}, 403),
    ],
)
async def test_networks(rule: dict[str, Any], expected: int) -> None:
    assert await status(rule, f"GET {ECHO}") == expected


@pytest.mark.parametrize(
    ("trusted", "said", "expected"),
    [
        pytest.param([], "10.0.0.7", 403, id="nobody is believed"),
        pytest.param(["127.0.0.1/32"], "10.0.0.7", 200, id="a trusted proxy is"),
        pytest.param(["127.0.0.1/32"], "10.0.0.7, 192.0.2.1", 403, id="but not its client"),
        pytest.param(["127.0.0.1/32"], "::ffff:10.0.0.7", 200, id="mapped into IPv6"),
    ],
)
async def test_who_the_client_is(trusted: list[str], said: str, expected: int) -> None:
    rule = {"allow_networks": ["10.0.0.0/8"]}
    forwarded = {"trusted_proxies": trusted}
    field = f"X-Forwarded-For: {said}"
    assert await status(rule, f"GET {ECHO}", field, forwarded=forwarded) == expected


@pytest.mark.parametrize(
    "path",
    [
        "/v1/echo/hello",
        "/v1/%65cho/hello",
        "/v1/echo/%68ello",
        "/v1/echo%2Fhello",
        "//v1/echo/hello",
        "/v1//echo//hello",
        "/v1/./echo/hello",
        "/v1/x/../echo/hello",
        "/v1/x/%2e%2e/echo/hello",
        "/v1/echo/hello?x=y",
        "/v1/echo/hello/",
    ],
)
@pytest.mark.parametrize("pattern", ["/v1/echo/*", "regex:/v1/echo/.+"])
async def test_what_is_denied_by_path_is_denied_in_every_spelling(path: str, pattern: str) -> None:
    assert await status({"deny_paths": [pattern]}, f"GET {path}") == 403


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/v1/echo/hello", 200), ("/v1/echo/%68ello", 200), ("/v1/%65cho/hello", 403), ("/v2/x", 403)],
)
async def test_what_is_allowed_is_allowed_as_it_was_sent(path: str, expected: int) -> None:
    assert await status({"allow_paths": ["/v1/echo/*"]}, f"GET {path}") == expected


@pytest.mark.parametrize(
    ("rule", "fields", "expected"),
    [
        ({"require_headers": {"X-Edge": "*"}}, [], 403),
        ({"require_headers": {"X-Edge": "*"}}, ["x-edge: 1"], 200),
        ({"require_headers": {"X-Edge": "yes"}}, ["X-Edge: yes", "X-EDGE: no"], 403),
        ({"forbid_headers": {"X-Debug": "*"}}, ["x-dEbUg: "], 403),
        ({"forbid_headers": {"X-Debug": "on*"}}, ["X-Debug: off", "X-Debug: on"], 403),
        ({"forbid_headers": {"X-Debug": "on*"}}, ["X-Debug: off"], 200),
        ({"deny_user_agents": ["*SQLmap*"]}, ["User-Agent: sqlMAP/1.8"], 403),
        ({"deny_user_agents": [""]}, [], 403),
        ({"deny_user_agents": [""]}, ["User-Agent: curl"], 200),
        ({"allow_user_agents": ["curl*"]}, ["User-Agent: wget"], 403),
        ({"allow_user_agents": ["curl*"]}, ["User-Agent: Curl/8"], 200),
        ({"allow_user_agents": ["curl*"]}, [], 403),
        ({"allow_user_agents": ["curl*"]}, ["User-Agent:"], 403),
        ({"allow_user_agents": ["curl*", ""]}, [], 200),
    ],
)
async def test_headers(rule: dict[str, Any], fields: Fields, expected: int) -> None:
    assert await status(rule, f"GET {ECHO}", *fields) == expected


@pytest.mark.parametrize(
    ("rule", "start", "expected"),
    [
        ({"allow_methods": ["GET"]}, f"GET {ECHO}", 200),
        ({"allow_methods": ["GET"]}, f"HEAD {ECHO}", 200),
        ({"allow_methods": ["GET"]}, "DELETE /v1/echo/any/x", 405),
        ({"deny_methods": ["GET"]}, f"HEAD {ECHO}", 405),
        ({"deny_methods": ["DELETE"]}, "DELETE /v1/echo/any/x", 405),
    ],
)
async def test_methods(rule: dict[str, Any], start: str, expected: int) -> None:
    assert await status(rule, start, "X-HTTP-Method-Override: GET") == expected


@pytest.mark.parametrize(
    ("rule", "allow"),
    [
        ({"allow_methods": ["POST", "GET"]}, "GET, HEAD, POST"),
        ({"allow_methods": ["POST", "GET"], "deny_methods": ["POST"]}, "GET, HEAD"),
        ({"deny_methods": ["DELETE", "GET"]}, "OPTIONS, PATCH, POST, PUT"),
    ],
)
async def test_who_may_not_use_a_method_is_told_which_may_be(
    rule: dict[str, Any], allow: str
) -> None:
    answer = await ask(rule, "DELETE /v1/echo/any/x")
    assert (answer.status, answer.header("Allow")) == (405, allow)


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        ("Content-Type: application/json", 200),
        ("Content-Type: Application/JSON; charset=utf-8", 200),
        ("Content-Type: application/x-protobuf", 415),
        ("X-Nothing: 1", 415),
    ],
)
async def test_content_types_of_bodies(content_type: str, expected: int) -> None:
    filters = [{"name": "rule", "allow_content_types": ["application/json"]}]
    async with echo_gateway(filters=filters) as gateway, connected(gateway) as client:
        head = f"POST /v1/echo HTTP/1.1\r\nHost: test\r\n{content_type}\r\n"
        await client.send(f"{head}Content-Length: 2\r\n\r\n{{}}")
        assert (await client.answer()).status == expected
        assert (await client.get(ECHO)).status == 200


@pytest.mark.parametrize("path", ["/oauth2/token", "/v1/nowhere", "/.well-known/jwks.json"])
async def test_whatever_a_path_is_served_by(path: str) -> None:
    rule = {"deny_networks": ["127.0.0.0/8"]}
    assert await status(rule, f"GET {path}", auth={"store": "memory:"}) == 403


async def test_a_websocket_is_turned_away_before_it_is_one() -> None:
    upgrade = ("Connection: Upgrade", "Upgrade: websocket", "Sec-WebSocket-Version: 13")
    rule = {"deny_networks": ["127.0.0.0/8"]}
    assert await status(rule, f"GET {ECHO}:repeat", *upgrade) == 403


async def test_the_rule_stands_in_the_audit_trail_once_a_second(tmp_path: Path) -> None:
    audit = tmp_path / "audit.log"
    filters = [{"name": "nobody", "deny_networks": ["0.0.0.0/0"]}]
    logs = {"access": "off", "audit": str(audit)}
    async with echo_gateway(filters=filters, log=logs) as gateway, connected(gateway) as client:
        for _ in range(20):
            assert (await client.get(f"{ECHO}?secret=x")).status == 403
    lines = [json.loads(line) for line in audit.read_text().splitlines()]
    refused = [line for line in lines if line["event.name"] == "policy.refused"]
    assert 1 <= len(refused) <= 3
    assert "filter nobody" in json.dumps(refused[0])
    assert "secret" not in audit.read_text()


@pytest.mark.parametrize(
    "rule",
    [
        pytest.param({}, id="nothing to check"),
        pytest.param({"paths": ["/v1/*"]}, id="only where"),
        pytest.param({"deny_networks": ["10.0.0.0/33"]}, id="no network"),
        pytest.param({"deny_paths": ["regex:("]}, id="half an expression"),
        pytest.param({"deny_paths": [r"regex:(a)\1"]}, id="what RE2 does not have"),
        pytest.param({"allow_methods": ["get"]}, id="a method in small letters"),
        pytest.param({"deny_methods": ["HEAD"]}, id="HEAD, which goes where GET goes"),
        pytest.param({"require_headers": {"X Y": "*"}}, id="no header name"),
        pytest.param({"allow_content_types": ["json"]}, id="no media type"),
    ],
)
def test_a_rule_that_cannot_be_meant_is_refused(rule: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        FilterRule.model_validate({"name": "rule"} | rule)


def test_two_rules_of_one_name_are_refused() -> None:
    rule = {"name": "inside", "allow_networks": ["10.0.0.0/8"]}
    with pytest.raises(ValidationError, match="two rules have the name inside"):
        Config.model_validate({"filters": [rule, rule]})
