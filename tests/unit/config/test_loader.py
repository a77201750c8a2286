"""Settings come from a file, the environment and flags, and unknown ones are refused by path."""

from pathlib import Path
from typing import Any

import pytest

from gateway.config.json import Unknown
from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config


@pytest.fixture
def write(tmp_path: Path) -> Any:
    def write(text: str) -> Path:
        file = tmp_path / "gateway.yaml"
        file.write_text(text)
        return file

    return write


def test_without_any_source_every_setting_has_its_default(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}, {}) == Config()


def test_the_default_file_is_read_when_it_is_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "gateway.yaml").write_text("listen: 127.0.0.1:9999\n")
    monkeypatch.chdir(tmp_path)
    assert load_config(None, {}, {}).listen == "127.0.0.1:9999"


def test_the_environment_beats_the_file_and_flags_beat_both(write: Any) -> None:
    file = write("listen: a:1\nreflect: true\njson: {pretty: true, emit_unset: false}\n")
    environment = {"GATEWAY_LISTEN": "b:2", "GATEWAY_JSON__EMIT_UNSET": "true", "HOME": "/"}
    config = load_config(file, environment, {"listen": "c:3"})
    assert config.listen == "c:3"
    assert config.reflect
    assert config.json_.pretty
    assert config.json_.emit_unset


def test_an_environment_value_may_be_a_list_or_a_map() -> None:
    environment = {
        "GATEWAY_QUERY__UNKNOWN": "[utm_source, ref]",
        "GATEWAY_UPSTREAMS__LIBRARY": "{target: 'localhost:1'}",
    }
    config = load_config(None, environment, {})
    assert config.query.unknown == ("utm_source", "ref")
    assert config.upstreams["library"].target == "localhost:1"


def test_a_choice_is_read_by_its_name(write: Any) -> None:
    assert load_config(write("json: {unknown_fields: ignore}"), {}, {}).json_.unknown_fields is (
        Unknown.IGNORE
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param("listn: x", "listn: unknown key; did you mean listen?", id="top level"),
        pytest.param(
            "json: {emit_unst: true}",
            "json.emit_unst: unknown key; did you mean emit_unset?",
            id="nested",
        ),
        pytest.param(
            "upstreams: {a: {target: 'x:1', tls: {zz: 1}}}",
            "upstreams.a.tls.zz: unknown key; known here: ca_file, cert_file, key_file",
            id="inside a map of sections",
        ),
        pytest.param(
            "deadlines: {methods: [{selector: a, defaults: 1}]}",
            "deadlines.methods[0].defaults: unknown key; did you mean default_s",
            id="inside a list of sections",
        ),
        pytest.param("limits: {body_bytes: -1}", "limits.body_bytes: ", id="out of range"),
        pytest.param("reflect: perhaps", "reflect: ", id="wrong type"),
        pytest.param("- a\n- b", "expected settings by name", id="a list at the top"),
        pytest.param("a: [", "is not YAML: line 1", id="broken YAML"),
    ],
)
def test_a_bad_setting_is_named_with_its_file_and_path(write: Any, text: str, says: str) -> None:
    with pytest.raises(ConfigError) as raised:
        load_config(write(text), {}, {})
    assert "gateway.yaml: " in str(raised.value)
    assert says in str(raised.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.yaml: cannot be read"):
        load_config(tmp_path / "none.yaml", {}, {})


def test_an_unknown_environment_variable_of_ours_is_refused() -> None:
    with pytest.raises(ConfigError, match="environment: lissten: unknown key; did you mean listen"):
        load_config(None, {"GATEWAY_LISSTEN": "x"}, {})


def test_a_trusted_proxy_is_a_network(write: Any) -> None:
    file = write("forwarded: {trusted_proxies: [10.0.0.1/8, '::1']}")
    assert load_config(file, {}, {}).forwarded.trusted_proxies == ("10.0.0.1/8", "::1")
    with pytest.raises(ConfigError, match="trusted_proxies"):
        load_config(write("forwarded: {trusted_proxies: [proxy.test]}"), {}, {})
