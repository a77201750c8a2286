"""Where each setting comes from."""

import pickle
from pathlib import Path

import pytest

from gateway.config.loader import load_config
from gateway.config.model import Config

SETTINGS = """\
listen: 127.0.0.1:1
json:
  emit_unset: true
tls:
  cert_file: a
  key_file: b
cors: {origins: ["https://a.example"]}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "settings.yaml"
    path.write_text(SETTINGS)
    return path


def test_each_value_has_the_last_source_that_sets_it(file: Path) -> None:
    environment = {"GATEWAY_LISTEN": "127.0.0.1:2", "GATEWAY_CORS__ORIGINS": "[]"}
    found = load_config(file, environment, {"listen": "127.0.0.1:3", "workers": 2}).origins
    assert found == {
        "listen": "flags",
        "workers": "flags",
        "json.emit_unset": f"{file}: line 3",
        "tls.cert_file": f"{file}: line 5",
        "tls.key_file": f"{file}: line 6",
        "cors.origins": "environment",
    }


def test_a_section_that_is_taken_back_has_the_source_that_did_it(file: Path) -> None:
    found = load_config(file, {"GATEWAY_TLS": "null"}, {}).origins
    assert found["tls"] == "environment"
    assert not any(path.startswith("tls.") for path in found)


def test_defaults_have_none() -> None:
    assert load_config(None, {}, {}).origins == {}


def test_settings_are_equal_wherever_they_come_from(file: Path) -> None:
    config = load_config(file, {}, {})
    assert config == Config.model_validate(config.model_dump(by_alias=True))
    assert "_origins" not in config.model_dump()


def test_other_processes_know_them_too(file: Path) -> None:
    config = load_config(file, {}, {})
    assert pickle.loads(pickle.dumps(config)).origins == config.origins
