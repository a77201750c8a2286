"""Settings of tokens."""

import pytest
from pydantic import ValidationError

from gateway.config.auth import AssertionOptions, AuthOptions, IdentityOptions, TokenOptions
from gateway.config.model import Config


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("memory:", "memory:"),
        ("sqlite:///gateway.db", "sqlite:///gateway.db"),
        ("redis://host:6379/0", "redis://host:6379/0"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("redis://user:s3cret@host/0", "redis://user:***@host/0"),
        ("redis://user:s3:cr@et@host/0", "redis://user:***@host/0"),
        ("redis://host/0?password=s3cret&prefix=a:", "redis://host/0?password=***&prefix=a:"),
        ("rediss://host/0?ssl_password=s3cret", "rediss://host/0?ssl_password=***"),
        ("redis://host/0?Password=s3cret", "redis://host/0?Password=***"),
        ("unix:///socket?prefix=a:&password=s3cret", "unix:///socket?prefix=a:&password=***"),
        (
            "redis+sentinel://:s3cret@a,b:26380/main?sentinel_password=s3cret",
            "redis+sentinel://:***@a,b:26380/main?sentinel_password=***",
        ),
        ("redis+cluster://ann:s3cret@a:7000,b", "redis+cluster://ann:***@a:7000,b"),
    ],
)
def test_a_stores_url_is_printed_without_its_password(url: str, shown: str) -> None:
    config = Config.model_validate({"auth": {"store": url}})
    assert config.auth.store == url
    assert config.model_dump()["auth"]["store"] == shown
    assert shown in config.model_dump_json()
    assert "s3" not in repr(config) + config.model_dump_json()


def test_without_a_store_there_is_nothing_to_print() -> None:
    assert Config().model_dump()["auth"]["store"] is None


def test_tokens_that_are_issued_must_be_kept_somewhere() -> None:
    with pytest.raises(ValidationError, match="needs a store"):
        AuthOptions.model_validate({"tokens": {"auth_upstream": "auth"}})


@pytest.mark.parametrize("name", ["", "X-User", "x user", "grpc-user", "user-bin", "x-user\n", "ü"])
def test_what_back_ends_are_told_by_must_be_a_name_of_metadata(name: str) -> None:
    for setting in ("principal", "scopes", "client", "claims_prefix"):
        with pytest.raises(ValidationError, match="expected a metadata name"):
            IdentityOptions.model_validate({setting: name})


def test_every_name_back_ends_are_told_by_is_the_gateways_own() -> None:
    identity = IdentityOptions(principal="a", scopes="b", client="c", claims_prefix="d-")
    documented = ("x-principal", "x-principal-*")
    assert identity.names == ("a", "b", "c", "a-*", "b-*", "c-*", "d-*", *documented)
    jwt = AssertionOptions.model_validate({"key": "key.pem", "metadata": "e"})
    some = identity.model_copy(update={"claims_prefix": None, "jwt": jwt})
    assert some.names == ("a", "b", "c", "e", "a-*", "b-*", "c-*", "e-*", *documented)


@pytest.mark.parametrize(
    "issuer",
    ["", "api.example.com", "ftp://a", "https://", "https://a?b=c", "https://a#b", "https://a b"],
)
def test_an_issuer_is_a_url_to_which_paths_can_be_added(issuer: str) -> None:
    with pytest.raises(ValidationError, match="without query and fragment"):
        TokenOptions(issuer=issuer)
