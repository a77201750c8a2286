"""The benchmark of the choice between endpoints: its settings, and its command line."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import balancing, peers
from gateway.config.model import Config

ADDRESSES = ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.1:3"]


@pytest.mark.parametrize(
    "upstream", [{"balance": "round_robin"}, {"balance": "least_request"}, balancing.EJECTING]
)
def test_this_gateway_takes_the_settings(
    upstream: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(peers, "OUT", tmp_path)
    targets = [{"address": one} for one in ADDRESSES]
    command, _ = peers.python_gateway(ADDRESSES[0], targets=targets, **upstream)
    config = Config.model_validate(yaml.safe_load(Path(command[-1]).read_text()))
    assert [one.address for one in config.upstreams["bench"].targets] == ADDRESSES


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fast"], "no part is named fast; expected some of: cost, slow"),
        (["slow", "--rounds", "0"], "--rounds, --seconds and --rate must be greater than 0"),
        (["slow", "--rate", "nan"], "--rounds, --seconds and --rate must be greater than 0"),
    ],
)
def test_what_cannot_be_measured_is_refused(
    arguments: list[str],
    words: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr("sys.argv", ["balancing", *arguments])
    with pytest.raises(SystemExit):
        balancing.main()
    assert words in capsys.readouterr().err
