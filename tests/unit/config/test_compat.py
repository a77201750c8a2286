"""Sets of settings by the name of another gateway; single settings win."""

from pathlib import Path

import pytest

from gateway.config.compat import SETTINGS, Compat
from gateway.config.json import Excess, Unknown
from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config
from gateway.config.routing import OnConflict


@pytest.mark.parametrize("name", [one for one in Compat if one is not Compat.NONE])
def test_a_set_is_made_of_settings(name: Compat) -> None:
    settings = Config.model_validate({"compat": name.value})
    plain = Config.model_validate(SETTINGS[name])
    assert settings.model_copy(update={"compat": Compat.NONE}) == plain
    assert plain != Config()


def test_a_setting_that_is_given_wins(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("compat: grpc-gateway\njson: {unknown_fields: reject}\n")
    settings = load_config(file, {"GATEWAY_ROUTING__ON_CONFLICT": "first"}, {})
    assert settings.json_.unknown_fields is Unknown.REJECT
    assert settings.json_.excess_body is Excess.IGNORE
    assert settings.routing.on_conflict is OnConflict.FIRST


def test_the_environment_can_name_a_set() -> None:
    assert load_config(None, {"GATEWAY_COMPAT": "envoy"}, {}).json_.emit_unset is False


def test_an_unknown_name_is_refused() -> None:
    with pytest.raises(
        ConfigError, match="compat: expected one of none, grpc-gateway, envoy, google"
    ):
        load_config(None, {"GATEWAY_COMPAT": "kong"}, {})
