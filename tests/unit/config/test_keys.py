"""Settings of API keys."""

import pytest
from pydantic import ValidationError

from gateway.config.auth import AuthOptions
from gateway.config.credentials import CredentialKind, KeyOptions
from gateway.config.model import Config


@pytest.mark.parametrize("name", ["X-API-Key", "apikey", "X_Key", "Ocp-Apim-Subscription-Key"])
def test_a_key_can_be_in_any_header(name: str) -> None:
    assert KeyOptions(header=name).header == name


@pytest.mark.parametrize(
    "name", ["", "X API Key", "X-API-Key:", "X-Kéy", "Authorization", "cookie", "HOST", "a\nb"]
)
def test_a_key_cannot_be_where_something_else_is(name: str) -> None:
    with pytest.raises(ValidationError, match="expected the name of a header"):
        KeyOptions(header=name)


@pytest.mark.parametrize(
    ("settings", "is_taken"),
    [
        pytest.param({"store": "memory:"}, True, id="with a store"),
        pytest.param({}, False, id="without a store"),
        pytest.param({"store": "memory:", "order": ["token"]}, False, id="where it is not listed"),
        pytest.param({"store": "memory:", "order": ["key", "jwt"]}, True, id="where it is listed"),
    ],
)
def test_a_header_with_keys_reaches_no_back_end(
    settings: dict[str, object], is_taken: bool
) -> None:
    for forwarded in (False, True):
        identity = {"forward_authorization": forwarded}
        options = AuthOptions.model_validate(settings | {"identity": identity})
        assert options.takes_keys is is_taken
        assert ("x-api-key" in options.reserved_metadata) is is_taken


def test_every_kind_is_taken_unless_told_otherwise() -> None:
    assert set(AuthOptions().order) == set(CredentialKind)
    with pytest.raises(ValidationError, match="token"):
        AuthOptions.model_validate({"order": ["tokens"]})


@pytest.mark.parametrize("shown", ["X-My-Key", "x-my-key"])
def test_the_header_with_keys_cannot_be_logged_whatever_it_is_called(shown: str) -> None:
    keys = {"store": "memory:", "keys": {"header": "X-My-Key"}}
    with pytest.raises(ValidationError, match=r"log\.headers: X-My-Key carries API keys"):
        Config.model_validate({"auth": keys, "log": {"headers": [shown]}})
    Config.model_validate({"auth": keys | {"order": ["token"]}, "log": {"headers": [shown]}})
