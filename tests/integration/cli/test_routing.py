"""Rules that once kept the gateway from starting are served, or left out where settings say so."""

import json
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession

from gateway.cli.checks import check, route_rows
from gateway.config.model import Config
from tests.support.schema import descriptor_set
from tools.corpus_calls import gateway_over

FILES = descriptor_set(
    routing="""
syntax = "proto3";
package routing;
import "google/api/annotations.proto";
message M { string id = 1; repeated string ids = 2; M inner = 3; string parent = 4; }
service S {
  rpc Root(M) returns (M) { option (google.api.http) = {get: "/"}; }
  rpc Only(M) returns (M) { option (google.api.http) = {
    additional_bindings {get: "/only/{id}"} additional_bindings {post: "/only" body: "*"}
  }; }
  rpc List(M) returns (M) { option (google.api.http) = {get: "/{parent=docs/*/**}/{id}"
    additional_bindings {get: "/docs/{id}"} }; }
  rpc Get(M) returns (M) { option (google.api.http) = {get: "/{id=docs/*/**}"
    additional_bindings {get: "/got/{id}"} }; }
  rpc First(M) returns (M) { option (google.api.http) = {get: "/same/{id}"}; }
  rpc Last(M) returns (M) { option (google.api.http) = {get: "/same/{parent}"}; }
  rpc Ids(M) returns (M) { option (google.api.http) = {get: "/bad/{ids}"}; }
  rpc Deep(M) returns (M) { option (google.api.http) = {post: "/bad" body: "inner.id"}; }
}
"""
)
SKIP = {"on_error": "skip", "on_conflict": "last"}


@pytest.mark.parametrize(
    ("routing", "called"),
    [
        (
            SKIP,
            {
                "GET /": "Root",
                "GET /only/7": "Only",
                "POST /only": "Only",
                "GET /docs/a/b": "List",
                "GET /same/x": "Last",
            },
        ),
        (SKIP | {"on_conflict": "first"}, {"GET /same/x": "First"}),
        (SKIP | {"prefer": ["routing.S.First"]}, {"GET /same/x": "First"}),
        (
            {"exclude": ["routing.S.Ids", "routing.S.Deep", "routing.S.Last"]},
            {"GET /same/x": "First"},
        ),
    ],
)
async def test_what_the_settings_leave_is_served(
    routing: dict[str, Any], called: dict[str, str]
) -> None:
    async with (
        gateway_over(FILES, routing=routing) as (gateway, backend),
        ClientSession() as client,
    ):
        for request, method in called.items():
            http_method, path = request.split()
            sent = {"id": "7"} if http_method == "POST" else None
            async with client.request(http_method, gateway.url + path, json=sent) as answer:
                assert answer.status == 200, await answer.text()
            assert backend.rpc == f"/routing.S/{method}"
        for path in ("/bad", "/bad/x"):
            async with client.get(gateway.url + path) as answer:
                assert answer.status == 404


async def test_each_rule_that_is_skipped_is_a_warning_at_start() -> None:
    async with gateway_over(FILES, routing=SKIP) as (gateway, _):
        skipped = [line for line in gateway.warnings if line.endswith("the rule is skipped")]
    assert [line.split(": ")[2] for line in skipped] == ["routing.S.Ids", "routing.S.Deep"]


async def test_a_thousand_repeated_parameters_are_taken() -> None:
    async with gateway_over(FILES, routing=SKIP) as (gateway, backend), ClientSession() as client:
        query = "&".join(f"ids={number % 10}" for number in range(1000))
        async with client.get(f"{gateway.url}/?{query}") as answer:
            assert answer.status == 200, await answer.text()
        assert len(backend.requests[0]) == 3000
        async with client.get(f"{gateway.url}/?{query}&id=x") as answer:
            assert answer.status == 400
            assert (
                "more than 1000 query parameters"
                in json.loads(await answer.text())["error"]["message"]
            )


def config(place: Path, **routing: Any) -> Config:
    file = place / "set.binpb"
    file.write_bytes(FILES.SerializeToString())
    return Config.model_validate({"descriptors": [file], "routing": SKIP | routing})


def test_check_tells_what_no_request_reaches_and_routes_leaves_it_out(tmp_path: Path) -> None:
    settings = config(tmp_path)
    found = check(settings)
    extent, diagnostics = found.extent, found.diagnostics
    assert not any(diagnostic.is_error for diagnostic in diagnostics)
    lost = [d for d in diagnostics if d.message.startswith("no request reaches it: all its paths")]
    assert [(d.method, d.template) for d in lost] == [("routing.S.Get", "/{id=docs/*/**}")]
    listed = [(row["rpc"], row["template"]) for row in route_rows(settings)]
    assert ("routing.S.Get", "/got/{id}") in listed
    assert ("routing.S.Get", "/{id=docs/*/**}") not in listed
    assert ("routing.S.First", "/same/{id}") not in listed
    assert extent == f"{len(listed) + 1} routes of 8 methods"
    preferred = [row["template"] for row in route_rows(config(tmp_path, prefer=["routing.S.Get"]))]
    assert "/{id=docs/*/**}" in preferred
