"""The check that moves API keys exists only where a service config names places for them."""

import pytest

from gateway.config.model import Config
from gateway.exchange.ring.key_places import key_checks
from gateway.schema.catalog import build_schema
from gateway.schema.system_parameters import SystemParameter, SystemParameterRule
from gateway.transcoding.transcoder import Transcoder, build_transcoder
from tests.support.schema import descriptor_set
from tests.support.shelves import PROTO


def transcoder(*parameters: SystemParameter) -> Transcoder:
    rules = [SystemParameterRule("*", parameters, "service.yaml", 1)]
    schema = build_schema(descriptor_set(shelves=PROTO), system_parameters=rules)
    return build_transcoder(Config(), schema)


@pytest.mark.parametrize(
    "parameter",
    [
        SystemParameter("alt", "X-Alt", "as"),
        SystemParameter("api_key", "x-api-key", ""),
    ],
)
def test_without_other_places_no_request_is_checked(parameter: SystemParameter) -> None:
    assert key_checks("X-API-Key", transcoder(parameter)) == []


def test_without_api_keys_no_request_is_checked() -> None:
    places = transcoder(SystemParameter("api_key", "X-Goog-Api-Key", "key"))
    assert key_checks(None, places) == []
    assert len(key_checks("X-API-Key", places)) == 1


def test_without_a_service_config_requests_have_no_system_parameters() -> None:
    schema = build_schema(descriptor_set(shelves=PROTO))
    assert not build_transcoder(Config(), schema).has_system_parameters
    assert transcoder(SystemParameter("alt", "", "as")).has_system_parameters
