"""Splits and fallbacks in front of real servers, as an operator sets them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import grpc
import pytest
from pydantic import ValidationError

from gateway.app.gateway import open_gateway
from gateway.config.model import Config
from gateway.config.selectors import SelectorError
from gateway.policy.options import PolicyError
from gateway.status import StartUpError
from tests.support.command_line import run
from tests.support.counting_backend import CountingBackend, counting_server
from tests.support.http import connected
from tests.support.polling import until
from tests.support.redis_server import free_port
from tests.support.schema import descriptor_set
from tests.support.two_upstreams import TwoUpstreams, settings, two_upstreams

HALVES = [{"upstream": "main", "weight": 1}, {"upstream": "other", "weight": 1}]
TINY = """
syntax = "proto3";
package tiny.v1;
import "google/api/annotations.proto";
message Empty {}
service Tiny { rpc Get(Empty) returns (Empty) { option (google.api.http) = { get: "/v1/tiny" }; } }
"""
PLAIN = "shop.v1.Shop.Plain"


async def test_calls_are_divided_and_a_caller_stays_where_it_is(tmp_path: Path) -> None:
    split: dict[str, Any] = {"name": "half", "selector": PLAIN, "to": HALVES}
    split["sticky"] = {"by": "header", "name": "x-user"}
    async with two_upstreams(tmp_path, splits=[split]) as running:
        by_user = [await running.names(3, f"X-User: {number}") for number in range(20)]
        assert all(len(set(names)) == 1 for names in by_user)
        assert {name for names in by_user for name in names} == {"main", "other"}


async def test_the_gateways_own_cookie_keeps_a_browser_with_one_upstream(tmp_path: Path) -> None:
    split = {"name": "half", "selector": PLAIN, "to": HALVES, "cookie": {"max_age_s": 60}}
    found: set[str] = set()
    async with two_upstreams(tmp_path, splits=[split]) as running:
        for _ in range(20):
            first = await running.get("/v1/plain")
            cookie, *flags = (first.header("set-cookie") or "").split("; ")
            assert flags == ["Path=/", "Max-Age=60", "HttpOnly", "SameSite=Lax", "Secure"]
            again = await running.get("/v1/plain", f"Cookie: a=b; {cookie}")
            assert again.header("set-cookie") is None
            assert await running.names(3, f"Cookie: {cookie}") == [first.json()["text"]] * 3
            found.add(first.json()["text"])
        running.main.fails = running.other.fails = grpc.StatusCode.NOT_FOUND
        failed = await running.get("/v1/plain")
        assert failed.status == 404
        assert failed.header("set-cookie")
    assert found == {"main", "other"}


async def test_the_log_and_the_metrics_say_where_calls_went(tmp_path: Path) -> None:
    split = {
        "name": "testers",
        "selector": PLAIN,
        "match": [{"header": "x-canary"}],
        "to": [{"upstream": "other"}],
    }
    log = tmp_path / "access.log"
    more = {"log": {"access": str(log), "format": "json"}}
    async with two_upstreams(tmp_path, splits=[split], **more) as running:
        await running.names(2, "X-Canary: yes")
        await running.names(1)
        await until(lambda: log.exists() and len(log.read_text().splitlines()) == 3)
        lines = [json.loads(one) for one in log.read_text().splitlines()]
        assert running.gateway.exposition is not None
        text = running.gateway.exposition.text()[1].decode()
    found = [(one.get("gateway.split"), one.get("gateway.upstream")) for one in lines]
    assert found == [("testers", "other"), ("testers", "other"), (None, None)]
    (counted,) = [one for one in text.splitlines() if one.startswith("gateway_split_calls_total{")]
    assert 'split="testers",gateway_upstream="other"' in counted
    assert float(counted.split()[-1]) == 2


async def test_a_header_chooses_the_upstream(tmp_path: Path) -> None:
    split = {
        "name": "testers",
        "selector": PLAIN,
        "match": [{"header": "x-canary", "value": "yes"}],
        "to": [{"upstream": "other"}],
    }
    async with two_upstreams(tmp_path, splits=[split]) as running:
        assert await running.names(1, "X-Canary: yes") == ["other"]
        assert await running.names(1, "X-Canary: no") == ["main"]
        assert await running.names(1) == ["main"]


async def test_an_upstream_that_cannot_be_reached_has_its_calls_from_the_fallback(
    tmp_path: Path,
) -> None:
    gone = {"main": {"target": f"127.0.0.1:{free_port()}", "fallback": "other"}}
    async with two_upstreams(tmp_path, upstreams=gone) as running:
        assert await running.names(5) == ["other"] * 5
        assert running.other.calls.total() == 5


async def test_a_call_that_a_back_end_has_seen_stays_there(tmp_path: Path) -> None:
    async with two_upstreams(tmp_path, upstreams={"main": {"fallback": "other"}}) as running:
        running.main.fails = grpc.StatusCode.UNAVAILABLE
        assert (await running.get("/v1/plain")).status == 503
        assert running.other.calls.total() == 0


async def test_a_call_that_finds_no_room_does_not_overload_the_fallback(tmp_path: Path) -> None:
    full = {"main": {"fallback": "other", "max_requests": 1}}
    async with two_upstreams(tmp_path, upstreams=full) as running:
        running.main.open.clear()
        first = asyncio.ensure_future(running.get("/v1/plain"))
        await until(lambda: running.main.calls.total() == 1)
        assert (await running.get("/v1/plain")).status == 503
        running.main.open.set()
        assert (await first).status == 200
        assert running.other.calls.total() == 0


async def test_hedging_where_no_method_declares_it_keeps_the_gateway_from_starting(
    tmp_path: Path,
) -> None:
    policy = {"hedging_policy": {"hedging_delay_s": 0.1}}
    async with two_upstreams(tmp_path, upstreams={"main": policy}) as running:
        assert await running.names(1) == ["main"]
    entry = {"name": [{"service": "shop.v1.Shop", "method": "Plain"}]}
    bad = {"methodConfig": [entry | {"hedgingPolicy": {"maxAttempts": 2}}]}
    with pytest.raises(StartUpError, match=r"upstreams\.main\.grpc_service_config: hedgingPolicy"):
        async with two_upstreams(tmp_path, upstreams={"main": {"grpc_service_config": bad}}):
            pass


async def test_hedging_of_an_upstream_without_a_method_that_declares_it_is_refused(
    tmp_path: Path,
) -> None:
    file = tmp_path / "tiny.binpb"
    file.write_bytes(descriptor_set(tiny=TINY).SerializeToString())
    main = {"services": ["*"], "hedging_policy": {"hedging_delay_s": 0.1}}
    with pytest.raises(StartUpError, match=r"upstreams\.main\.hedging_policy: expected methods"):
        async with two_upstreams(tmp_path, upstreams={"main": main}, descriptors=[str(file)]):
            pass


async def test_stored_replies_and_splits_exclude_each_other(tmp_path: Path) -> None:
    split = {"name": "half", "selector": "shop.v1.*", "to": HALVES}
    with pytest.raises(PolicyError, match=r"shop\.v1\.Shop\.GetItem: cache: .* the split half"):
        async with two_upstreams(tmp_path, splits=[split]):
            pass


async def test_a_split_selects_a_method(tmp_path: Path) -> None:
    split = {"name": "half", "selector": "shop.v1.Shop.Plane", "to": HALVES}
    with pytest.raises(SelectorError, match=r"splits\[0\]\.selector: no method is called"):
        async with two_upstreams(tmp_path, splits=[split]):
            pass


def test_explain_says_where_a_request_would_go(tmp_path: Path) -> None:
    nowhere = CountingBackend(f"127.0.0.1:{free_port()}")
    splits = [
        {
            "name": "testers",
            "selector": PLAIN,
            "match": [{"header": "x-canary"}],
            "to": [{"upstream": "other"}],
        },
        {"name": "half", "selector": PLAIN, "to": HALVES, "sticky": {"by": "principal"}},
    ]
    file = tmp_path / "gateway.yaml"
    fallback = {"main": {"fallback": "other"}}
    made = settings(tmp_path, nowhere, nowhere, splits=splits, upstreams=fallback)
    file.write_text(json.dumps(made))
    done = run("explain", "GET /v1/plain", "--config", str(file))
    assert "  goes to  other 100 %  (split testers), if header x-canary\n" in done.stdout
    assert "  else  main 50 %, other 50 %  (split half, by principal)\n" in done.stdout
    done = run("explain", "GET /v1/me", "--config", str(file))
    assert "  goes to  main, or other if it is unreachable\n" in done.stdout


def versions(*, canary: str = "canary") -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """Splits by labels, and the settings of the upstream that has them."""
    splits: list[dict[str, Any]] = [
        {
            "name": "testers",
            "selector": PLAIN,
            "match": [{"header": "x-canary"}],
            "to": [{"upstream": "main", "labels": {"version": canary}}],
        },
        {
            "name": "versions",
            "selector": PLAIN,
            "to": [
                {"upstream": "main", "weight": 1, "labels": {"version": "stable"}},
                {"upstream": "main", "weight": 0, "labels": {"version": canary, "track": "a"}},
            ],
        },
    ]
    return splits, {"services": ["*"]}


async def test_a_split_chooses_endpoints_by_their_labels(tmp_path: Path) -> None:
    splits, main = versions()
    async with counting_server() as stable, counting_server() as canary:
        stable.text, canary.text = "stable", "canary"
        main["target"] = None
        main["targets"] = [
            {"address": stable.target, "labels": {"version": "stable"}},
            {"address": canary.target, "labels": {"version": "canary", "track": "a"}},
        ]
        more = {"splits": splits, "upstreams": {"main": main}}
        config = Config.model_validate(settings(tmp_path, stable, canary, **more))
        async with open_gateway(config) as gateway:
            running = TwoUpstreams(gateway, stable, canary)
            assert set(await running.names(8)) == {"stable"}
            assert set(await running.names(8, "X-Canary: yes")) == {"canary"}
            assert gateway.exposition is not None
            text = gateway.exposition.text()[1].decode()
            shown = {
                row.upstream: row.address for row in gateway.endpoints() if "[" in row.upstream
            }
    assert 'split="testers",gateway_upstream="main[version=canary]"' in text
    assert shown == {
        "main[version=stable]": stable.target,
        "main[version=canary]": canary.target,
        "main[track=a,version=canary]": canary.target,
    }


async def test_calls_may_go_to_any_endpoint_if_none_with_the_labels_is_there(
    tmp_path: Path,
) -> None:
    splits, main = versions()
    async with counting_server() as stable, counting_server() as other:
        stable.text = "stable"
        main["target"] = None
        main["targets"] = [
            {"address": stable.target, "labels": {"version": "stable"}},
            {"address": f"127.0.0.1:{free_port()}", "labels": {"version": "canary", "track": "a"}},
        ]
        testers = splits[0]["to"][0] | {"labels_fallback": "any"}
        strict = {"upstream": "main", "labels": {"version": "canary", "track": "a"}}
        gone = {"upstream": "main", "labels": {"version": "gone"}, "labels_fallback": "any"}
        made = [
            splits[0] | {"to": [testers]},
            splits[0] | {"name": "gone", "match": [{"header": "x-gone"}], "to": [gone]},
            splits[0] | {"name": "strict", "match": [{"header": "x-strict"}], "to": [strict]},
        ]
        more = {"splits": made, "upstreams": {"main": main}}
        config = Config.model_validate(settings(tmp_path, stable, other, **more))
        async with open_gateway(config) as gateway:
            running = TwoUpstreams(gateway, stable, other)
            assert set(await running.names(8, "X-Canary: yes")) == {"stable"}
            assert set(await running.names(8, "X-Gone: yes")) == {"stable"}
            async with connected(gateway) as client:
                assert (await client.get("/v1/plain", "X-Strict: yes")).status == 503


def test_the_same_labels_cannot_both_fail_and_go_to_any_endpoint() -> None:
    splits, main = versions()
    main["targets"] = [{"address": "localhost:1", "labels": {"version": "stable"}}]
    one = {"upstream": "main", "labels": {"version": "stable"}}
    splits = [
        splits[0] | {"to": [one]},
        {"name": "b", "to": [one | {"labels_fallback": "any"}]},
    ]
    with pytest.raises(ValidationError, match="expected the same in all splits for main"):
        Config.model_validate({"splits": splits, "upstreams": {"main": main}})
    splits = [{"name": "b", "to": [{"upstream": "main", "labels_fallback": "any"}]}]
    with pytest.raises(ValidationError, match="labels_fallback: has no effect without labels"):
        Config.model_validate({"splits": splits, "upstreams": {"main": main}})


def test_labels_that_no_endpoint_has_are_refused() -> None:
    splits, main = versions(canary="none")
    main["targets"] = [{"address": "localhost:1", "labels": {"version": "stable"}}]
    wrong = "expected labels of one of upstreams.main.targets; none has version=none"
    with pytest.raises(ValidationError, match=wrong):
        Config.model_validate({"splits": splits, "upstreams": {"main": main}})
