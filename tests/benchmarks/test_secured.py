"""The guards of the gateways under test: they let one token pass, and nothing without it."""

import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.load import ask
from benchmarks.peers import python_gateway, running
from benchmarks.scenarios import ALL_GUARDS, TLS
from benchmarks.secured import ORIGIN, all_guards, certificate, guard_envoy, require_token, trusting

NO_BACKEND = "127.0.0.1:1"


def test_all_guards_let_the_token_pass_and_nothing_without_it(tmp_path: Path) -> None:
    command, port = python_gateway(NO_BACKEND, all_guards(tmp_path))
    with running(command, port, "0-1"):
        assert ask(port, ALL_GUARDS)[0] == 503  # passed on, to no back end
        assert ask(port, replace(ALL_GUARDS, token=""))[0] == 401


def envoy_settings() -> tuple[dict[str, Any], dict[str, Any]]:
    """Settings of Envoy with one filter, and in them those of its HTTP connections."""
    manager: dict[str, Any] = {
        "http_filters": ["transcoder"],
        "route_config": {"virtual_hosts": [{}]},
    }
    chain = {"filters": [{"typed_config": manager}]}
    return {"static_resources": {"listeners": [{"filter_chains": [chain]}]}}, manager


def filters(manager: dict[str, Any]) -> list[str]:
    return [
        one if isinstance(one, str) else one["name"].split(".")[-1]
        for one in manager["http_filters"]
    ]


def test_envoy_has_each_guard_before_it_transcodes(tmp_path: Path) -> None:
    settings, manager = envoy_settings()
    guard_envoy(settings, tmp_path)
    assert filters(manager) == ["cors", "jwt_authn", "local_ratelimit", "transcoder"]
    assert ORIGIN in str(manager["route_config"])
    assert "access_log" in manager


def test_envoy_asks_for_a_token_before_it_transcodes() -> None:
    settings, manager = envoy_settings()
    require_token(settings)
    assert filters(manager) == ["jwt_authn", "transcoder"]


def test_a_client_trusts_only_the_certificate_of_the_run(tmp_path: Path) -> None:
    files = certificate(tmp_path)
    context = trusting(tmp_path)
    assert len(context.get_ca_certs()) == 1
    ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(files["cert_file"], files["key_file"])
    assert TLS.scheme == "https"
