"""Mirrors and faults in front of real servers, as an operator sets them."""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.model import Config
from gateway.config.selectors import SelectorError
from tests.support.http import connected
from tests.support.polling import until
from tests.support.two_upstreams import TwoUpstreams, two_upstreams

PLAIN = "shop.v1.Shop.Plain"
NEAR = {"headers": True, "match": [{"network": "127.0.0.0/8"}]}


def copies(running: TwoUpstreams, count: int) -> Callable[[], bool]:
    return lambda: running.other.calls.total() == count


async def test_copies_have_no_credentials_and_only_named_metadata(tmp_path: Path) -> None:
    mirror = {"to": "other", "selector": PLAIN, "metadata": ["x-tenant"]}
    async with two_upstreams(tmp_path, mirrors=[mirror]) as running:
        headers = ["Authorization: Bearer s3cret", "Cookie: a=b", "X-Tenant: t", "X-Else: e"]
        assert await running.names(1, *headers) == ["main"]
        await until(copies(running, 1))
        told, copied = running.main.seen[0], running.other.seen[0]
        assert copied["x-mirror"] == "1"
        assert copied["x-tenant"] == told["x-tenant"] == "t"
        assert not {"authorization", "cookie", "x-else"} & copied.keys()
        assert "x-mirror" not in told


async def test_a_mirror_that_hangs_delays_nobody_and_is_bounded(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mirror = {"to": "other", "selector": PLAIN, "max_in_flight": 2, "timeout_s": 30}
    async with two_upstreams(tmp_path, mirrors=[mirror]) as running:
        running.other.open.clear()
        assert await running.names(10) == ["main"] * 10
        await until(copies(running, 2))
        assert running.main.calls.total() == 10
        running.other.open.set()
    assert running.other.calls.total() == 2
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    assert events.count("gateway.upstream.mirror_full") == 1


async def test_a_mirror_that_fails_changes_no_answer(tmp_path: Path) -> None:
    mirrors = [{"to": "other", "selector": PLAIN}]
    nowhere = {"other": {"target": "127.0.0.1:1"}}
    async with two_upstreams(tmp_path, mirrors=mirrors, upstreams=nowhere) as running:
        assert await running.names(5) == ["main"] * 5


async def test_a_share_of_nothing_is_nothing(tmp_path: Path) -> None:
    mirror = {"to": "other", "selector": PLAIN, "percent": 0}
    async with two_upstreams(tmp_path, mirrors=[mirror]) as running:
        await running.names(10)
        assert running.other.calls.total() == 0


async def test_a_call_that_changes_something_is_never_copied(tmp_path: Path) -> None:
    async with two_upstreams(tmp_path, mirrors=[{"to": "other"}]) as running:
        async with connected(running.gateway) as client:
            await client.send(
                "PATCH /v1/items/a HTTP/1.1\r\nHost: test\r\nContent-Type: application/json\r\n"
                "Content-Length: 2\r\n\r\n{}"
            )
            assert (await client.answer()).status == 200
        await running.names(1)
        await until(copies(running, 1))
        assert running.other.calls == {"Plain": 1}
    changes = {"to": "other", "selector": "shop.v1.Shop.UpdateItem"}
    with pytest.raises(
        SelectorError, match=r"mirrors\[0\]\.selector: no unary method without side"
    ):
        async with two_upstreams(tmp_path, mirrors=[changes]):
            pass


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"mirrors": [{"to": "nobody"}]}, "mirrors[0].to: there is no upstream nobody"),
        ({"mirrors": [{"to": "a", "metadata": ["Cookie"]}]}, "Cookie has credentials"),
        ({"mirrors": [{"to": "a", "percent": 101}]}, "less than or equal to 100"),
        ({"faults": {"rules": [{}]}}, "expected delay_s or abort"),
        ({"faults": {"rules": [{"abort": "OK"}]}}, "Input should be"),
        (
            {"faults": {"rules": [{"abort": "UNKNOWN", "abort_http_status": 503}]}},
            "abort_http_status: expected either it or abort",
        ),
        ({"faults": {"rules": [{"abort_http_status": 199}]}}, "greater than or equal to 200"),
        ({"faults": {"rules": [{"headers": True}]}}, "expected a scope or a network in match"),
        (
            {"faults": {"rules": [{"headers": True, "match": [{"header": "x-secret"}]}]}},
            "expected a scope or a network in match",
        ),
        (
            {"faults": {"rules": [NEAR | {"abort": "UNKNOWN"}]}},
            "headers: has no effect with abort",
        ),
    ],
)
def test_what_is_refused_and_why(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Config.model_validate({"upstreams": {"a": {"target": "127.0.0.1:1"}}} | settings)
    assert words in str(refused.value)


async def test_a_fault_makes_calls_fail_before_they_are_sent(tmp_path: Path) -> None:
    rule = {"selector": PLAIN, "match": [{"header": "x-fault"}], "abort": "RESOURCE_EXHAUSTED"}
    faults = {"enabled": True, "rules": [rule]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        assert (await running.get("/v1/plain", "X-Fault: 1")).status == 429
        assert running.main.calls.total() == 0
        assert (await running.get("/v1/plain")).status == 200
        assert any("faults.enabled" in one for one in running.gateway.warnings)


async def test_a_delay_makes_calls_late_but_never_beyond_their_deadline(tmp_path: Path) -> None:
    rule = {"selector": PLAIN, "match": [{"header": "x-fault"}], "delay_s": 30}
    faults = {"enabled": True, "rules": [rule | {"max_active": 1}]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        started_s = time.monotonic()
        late = running.get("/v1/plain", "X-Fault: 1", "Grpc-Timeout: 300m")
        assert (await asyncio.wait_for(late, 20)).status == 504
        assert time.monotonic() - started_s >= 0.3
        assert running.main.calls.total() == 0


async def test_faults_that_are_not_enabled_do_nothing(tmp_path: Path) -> None:
    faults = {"rules": [{"selector": PLAIN, "abort": "UNAVAILABLE"}]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        assert (await running.get("/v1/plain")).status == 200
        assert not any("faults" in one for one in running.gateway.warnings)


@pytest.mark.parametrize(
    ("http_status", "answer"), [(503, 503), (404, 501), (403, 403), (400, 500), (200, 500)]
)
async def test_calls_may_fail_as_if_a_proxy_had_answered(
    tmp_path: Path, http_status: int, answer: int
) -> None:
    faults = {"enabled": True, "rules": [{"selector": PLAIN, "abort_http_status": http_status}]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        assert (await running.get("/v1/plain")).status == answer
        assert running.main.calls.total() == 0


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 200),
        (["X-Fault-Abort: RESOURCE_EXHAUSTED"], 429),
        (["X-Fault-Abort: 404"], 501),
        (["X-Fault-Abort: UNAVAILABLE", "X-Fault-Abort-Percent: 0"], 200),
        (["X-Fault-Delay-Ms: 60000", "Grpc-Timeout: 200m"], 504),
        (["X-Fault-Delay-Ms: 60000", "X-Fault-Delay-Percent: 0", "Grpc-Timeout: 5S"], 200),
        (["X-Fault-Abort: OK"], 400),
        (["X-Fault-Abort: 99"], 400),
        (["X-Fault-Delay-Ms: -1"], 400),
        (["X-Fault-Delay-Ms: 9999999999"], 400),
    ],
)
async def test_headers_of_trusted_clients_choose_a_fault(
    tmp_path: Path, headers: list[str], status: int
) -> None:
    faults = {"enabled": True, "rules": [NEAR | {"delay_s": 30}]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        assert (await running.get("/v1/plain", *headers)).status == status


@pytest.mark.parametrize(
    "rule",
    [
        {"headers": True, "match": [{"network": "10.0.0.0/8"}]},
        {"headers": True, "match": [{"scope": "faults"}]},
        {"delay_s": 1, "match": [{"header": "x-other"}]},
    ],
)
async def test_headers_of_other_clients_choose_none(tmp_path: Path, rule: dict[str, Any]) -> None:
    faults = {"enabled": True, "rules": [rule]}
    async with two_upstreams(tmp_path, faults=faults) as running:
        assert (await running.get("/v1/plain", "X-Fault-Abort: UNAVAILABLE")).status == 200


async def test_a_rule_bounds_what_headers_choose(tmp_path: Path) -> None:
    rule = NEAR | {"delay_s": 0.001, "abort_percent": 0}
    async with two_upstreams(tmp_path, faults={"enabled": True, "rules": [rule]}) as running:
        asked = ("X-Fault-Delay-Ms: 60000", "X-Fault-Abort: UNAVAILABLE", "Grpc-Timeout: 5S")
        assert (await running.get("/v1/plain", *asked)).status == 200
