"""Settings of credentials: what makes no sense is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.auth import AuthOptions
from gateway.config.credentials import JwtIssuer, JwtOptions, KeyOptions

ISSUER = {"issuer": "https://issuer.example", "audiences": ["api"]}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        pytest.param({"audiences": []}, "audiences", id="for nobody"),
        pytest.param({"issuer": ""}, "issuer", id="without a name"),
        pytest.param({"issuer": "http://a"}, "expected an https", id="an issuer without TLS"),
        pytest.param({"issuer": "just a name"}, "expected an https", id="a name without keys"),
        pytest.param({"issuer": "https://"}, "expected an https", id="no host"),
        pytest.param({"keys_url": "http://10.0.0.1/k"}, "expected an https", id="keys without TLS"),
        pytest.param({"keys_url": "file:///etc/passwd"}, "expected an https", id="a file as a URL"),
        pytest.param({"keys_url": "https://u:p@a/k"}, "without a password", id="a password"),
        pytest.param({"keys_url": "https://a", "keys_file": "b"}, "exclude", id="two places"),
        pytest.param({"algorithms": ["none"]}, "algorithms", id="none"),
        pytest.param({"algorithms": []}, "algorithms", id="no algorithm"),
        pytest.param(
            {"algorithms": ["HS256"]}, "need keys_file", id="a secret from a public place"
        ),
        pytest.param({"leeway_s": 301}, "leeway_s", id="a clock that is far off"),
        pytest.param({"keysUrl": "https://a"}, "keysUrl", id="no such setting"),
    ],
)
def test_an_issuer_that_makes_no_sense_is_refused(options: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        JwtIssuer.model_validate(ISSUER | options)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"issuer": "http://localhost:9000/realm"},
        {"issuer": "http://127.0.0.1:9000"},
        {"issuer": "http://[::1]:9000"},
        {"issuer": "http://keycloak:9000", "plain_http": True},
        {"issuer": "a name", "keys_file": "keys.json", "algorithms": ["HS256"]},
        {"issuer": "a name", "keys_url": "https://a/keys"},
    ],
    ids=str,
)
def test_an_issuer_that_makes_sense_is_taken(options: dict[str, Any]) -> None:
    assert JwtIssuer.model_validate(ISSUER | options).principal == "sub"


def test_two_issuers_are_two() -> None:
    with pytest.raises(ValidationError, match="appears twice"):
        JwtOptions.model_validate({"issuers": [ISSUER, ISSUER | {"prefix": "a/"}]})


@pytest.mark.parametrize(
    ("one", "two", "is_taken"),
    [("", "", False), ("", "b/", False), ("a", "ab", False), ("a/", "b/", True)],
)
def test_nobody_of_one_issuer_can_pass_for_somebody_of_another(
    one: str, two: str, is_taken: bool
) -> None:
    issuers = [ISSUER | {"prefix": one}, ISSUER | {"issuer": "https://two", "prefix": two}]
    if is_taken:
        assert len(JwtOptions.model_validate({"issuers": issuers}).issuers) == 2
    else:
        with pytest.raises(ValidationError, match="could pass for"):
            JwtOptions.model_validate({"issuers": issuers})


@pytest.mark.parametrize("name", ["Authorization", "cookie", "HOST", "x y", "", "x:y", "é"])
def test_a_keys_header_is_one_that_nothing_else_uses(name: str) -> None:
    with pytest.raises(ValidationError, match="expected the name of a header"):
        KeyOptions(header=name)


@pytest.mark.parametrize(
    "options",
    [{"store": "memory:"}, {"jwt": {"issuers": [ISSUER]}}, {"certificates": {}}],
    ids=["tokens and keys", "JWTs", "certificates"],
)
def test_any_kind_of_credential_hides_itself_and_lets_anonymous_be_refused(
    options: dict[str, Any],
) -> None:
    auth = AuthOptions.model_validate(options | {"anonymous": False})
    assert {"authorization", "x-principal", "x-principal-claim-*"} <= set(auth.reserved_metadata)
    forwarding = options | {"identity": {"forward_authorization": True}}
    names = AuthOptions.model_validate(forwarding).reserved_metadata
    assert "authorization" not in names
    assert "x-principal" in names


def test_certificates_that_proxies_hand_on_are_the_gateways_business() -> None:
    taken = AuthOptions.model_validate({"certificates": {}})
    assert "x-forwarded-client-cert" in taken.reserved_metadata
