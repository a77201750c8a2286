"""Names that no client can set for back ends: by prefix, and with `-` and `_` alike."""

from typing import Any

import pytest

from gateway.config.auth import AuthOptions
from gateway.config.metadata import MetadataOptions
from gateway.transcoding.metadata import MetadataError, MetadataRules

FORWARDED = (
    *("For", "Host", "Proto", "Port", "Server", "By", "Prefix", "Path", "Uri", "Method", "Ssl"),
    *("User", "Email", "Groups", "Access-Token", "Client-Cert", "Preferred-Username", "User-Agent"),
)


def received(*names: str, rules: MetadataRules) -> list[str]:
    """The metadata names that these headers become."""
    return [name for name, _ in rules.to_metadata([(name.encode(), b"QQ==") for name in names])]


def identity_rules(**identity: Any) -> MetadataRules:
    options = AuthOptions.model_validate({"identity": identity})
    return MetadataRules(MetadataOptions(), options.reserved_metadata)


@pytest.mark.parametrize("ending", FORWARDED)
def test_no_client_sets_what_only_a_proxy_knows(ending: str) -> None:
    spellings = [f"X-Forwarded-{ending}", f"x_forwarded_{ending}", f"X-Forwarded_{ending}-bin"]
    rules = MetadataRules(MetadataOptions())
    assert received(*spellings, *map(str.upper, spellings), rules=rules) == []


@pytest.mark.parametrize(
    "name",
    [
        *("X-Real-IP", "x_real_ip", "True-Client-IP", "X-Envoy-Internal", "x_envoy_peer_metadata"),
        *("X-Original-URL", "X_Original_Method", "X-Rewrite-URL", "CF-Connecting-IP", "Client-IP"),
        *("Proxy-Anything", "Sec-WebSocket-Protocol", "grpc_timeout", "Proxy_Authorization"),
        *("X_Request_Id", "Content_Length", "Transfer_Encoding"),
    ],
)
def test_names_that_would_be_taken_for_a_proxys_word_stay_behind(name: str) -> None:
    assert received(name, "X-Mine", rules=MetadataRules(MetadataOptions())) == ["x-mine"]


def test_what_is_withheld_is_a_setting_but_for_x_forwarded() -> None:
    rules = MetadataRules(MetadataOptions(), withhold=["x-secret-*"])
    names = ["X_Secret_A", "X-Real-IP", "X-Forwarded-User"]
    assert received(*names, rules=rules) == ["x-real-ip"]


def test_trusted_proxies_set_what_settings_hand_on_and_no_more() -> None:
    rules = MetadataRules(
        MetadataOptions(), ["x-principal"], hand_on=["x-forwarded-*", "x-real-ip", "x-principal"]
    )
    names = ["X-Forwarded-User", "X-Forwarded-For", "Forwarded", "X-Real-IP", "X-Principal"]
    assert received(*names, "X-Original-URL", rules=rules) == ["x-forwarded-user", "x-real-ip"]


@pytest.mark.parametrize(
    "name",
    [
        *("x-principal-scopes-bin", "x_principal", "X_PRINCIPAL_CLIENT", "X-Principal-Groups"),
        *("x-principal-claim_tenant", "x_principal-claim-", "x-principal-bin"),
    ],
)
@pytest.mark.parametrize("identity", [{}, {"principal": "x-user"}])
def test_no_spelling_of_the_callers_name_comes_from_a_client(
    name: str, identity: dict[str, str]
) -> None:
    assert received(name, "X-Mine", rules=identity_rules(**identity)) == ["x-mine"]


@pytest.mark.parametrize(
    "name",
    ["X-User", "x_user", "x-user-bin", "x_may", "x-may-bin", "X-Via", "claim_admin", "claim-a-bin"],
)
def test_names_that_settings_give_are_as_safe(name: str) -> None:
    rules = identity_rules(
        principal="x_user", scopes="x-may", client="x-via", claims_prefix="claim-"
    )
    assert received(name, "X-Mine", rules=rules) == ["x-mine"]


def test_a_principal_called_user_leaves_the_user_agent() -> None:
    rules = identity_rules(principal="user")
    assert received("User-Agent", "User", rules=rules) == ["x-forwarded-user-agent"]


def test_a_header_cannot_be_renamed_into_a_reserved_name() -> None:
    for reserved in ("x_forwarded_user", "x-real_ip"):
        with pytest.raises(MetadataError, match=reserved):
            MetadataRules(MetadataOptions(request_rename={"a": reserved}))
    assert received("C", rules=MetadataRules(MetadataOptions(request_rename={"c": "d"}))) == ["d"]


def test_names_are_decided_once_and_remembered_in_bounds() -> None:
    rules = MetadataRules(MetadataOptions())
    for number in range(5000):
        assert received(f"x-forwarded-{number}", rules=rules) == []
    assert len(rules._seen) <= 1024
    assert received("X-Forwarded-User", "Y", rules=rules) == ["y"]


FORBIDDEN_IN_TRAILERS = (
    *("set-cookie", "www-authenticate", "proxy-authenticate", "authorization", "location"),
    *("cache-control", "expires", "age", "vary", "retry-after", "warning", "content-range"),
    *("content-security-policy", "access-control-allow-origin", "host", "if-match", "te"),
    *("set_cookie", "Set-Cookie"),
)


@pytest.mark.parametrize("name", FORBIDDEN_IN_TRAILERS)
def test_fields_that_must_not_be_trailers_are_none(name: str) -> None:
    trailers = MetadataRules(MetadataOptions()).to_trailers([(name.lower(), "1"), ("x-sum", "2")])
    assert trailers == [("x-sum", "2")]
    options = MetadataOptions(response_rename={"x-renamed": name})
    if name in ("te", "proxy-authenticate"):  # no headers either
        with pytest.raises(MetadataError):
            MetadataRules(options)
        return
    assert MetadataRules(options).to_trailers([("x-renamed", "1"), ("etag", '"a"')]) == [
        ("etag", '"a"')
    ]
