"""Secrets that settings name instead of having them."""

import os
from pathlib import Path

import pytest

from gateway.config.loader import ConfigError, load_config
from gateway.config.model import Config
from gateway.config.watched import watched_files

URL = "redis://user:planted@host:6379/0"


def loaded(store: str) -> Config:
    return load_config(None, {"GATEWAY_AUTH__STORE": store}, {})


def test_a_secret_is_read_from_a_file_without_its_line_end(tmp_path: Path) -> None:
    file = tmp_path / "store"
    file.write_text(f"{URL}\r\n")
    config = loaded(f"file:{file}")
    assert config.auth.store == URL
    assert "planted" not in config.model_dump_json() + repr(config)
    assert file in list(watched_files(config))
    file.write_text("sqlite:///x.db")
    assert loaded(f"file:{file}").auth.store == "sqlite:///x.db", "each load reads it again"


def test_a_file_may_be_in_the_folder_of_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").write_text(URL)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    config = loaded("file:${CREDENTIALS_DIRECTORY}/store")
    assert (config.auth.store, config.secret_files) == (URL, (tmp_path / "store",))


def test_a_secret_is_read_from_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORE_URL", URL)
    assert loaded("env:STORE_URL").auth.store == URL


def test_a_secret_is_read_from_a_descriptor_and_known_at_the_next_reload() -> None:
    reading, writing = os.pipe()
    os.write(writing, b"sqlite:///fd.db\n")
    os.close(writing)
    for _ in range(2):
        assert loaded(f"fd:{reading}").auth.store == "sqlite:///fd.db"


def test_headers_of_collectors_too(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("planted\n")
    headers = {"x-key": f"file:{tmp_path / 'key'}"}
    config = load_config(None, {}, {"metrics": {"otlp_headers": headers}})
    assert config.metrics.otlp_headers == {"x-key": "planted"}
    assert "planted" not in config.model_dump_json()


@pytest.mark.parametrize(
    ("store", "words"),
    [
        ("file:/none/here", r"file:/none/here: cannot be read: No such file"),
        ("file:/dev/zero", r"file:/dev/zero: cannot be read: it is not a regular file"),
        ("file:/dev/null", r"file:/dev/null: cannot be read"),
        ("env:NOT_THERE_AT_ALL", r"env:NOT_THERE_AT_ALL: there is no such environment variable"),
        ("fd:99999", r"fd:99999: cannot be read"),
        ("fd:0", r"fd:0: expected the number of an open file descriptor, 3 or more"),
        ("fd:x", r"fd:x: expected the number"),
    ],
)
def test_a_place_without_a_secret_is_named(store: str, words: str) -> None:
    with pytest.raises(ConfigError, match=rf"auth\.store: {words}"):
        loaded(store)


def test_what_is_no_text_or_empty_is_refused_without_showing_it(tmp_path: Path) -> None:
    file = tmp_path / "store"
    for content, words in ((b"planted\xff", "is not UTF-8 text"), (b"\n", "is empty")):
        file.write_bytes(content)
        with pytest.raises(ConfigError, match=words) as refused:
            loaded(f"file:{file}")
        assert "planted" not in str(refused.value)
