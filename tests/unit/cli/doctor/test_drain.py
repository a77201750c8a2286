"""What `gateway doctor` says of the drain in a pod."""

import pytest

from gateway.cli.doctor.machine import GRACE_PERIOD, examine_machine
from gateway.config.model import Config

CONFIG = Config.model_validate({"drain": {"delay_s": 5, "grace_s": 25}})


@pytest.mark.parametrize(
    ("given", "state"),
    [
        pytest.param("40", "ok", id="just enough"),
        pytest.param("39", "fail", id="too short"),
        pytest.param("", "warn", id="not known"),
        pytest.param("45s", "warn", id="no number"),
    ],
)
def test_the_drain_must_end_before_the_pod_is_killed(
    monkeypatch: pytest.MonkeyPatch, given: str, state: str
) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv(GRACE_PERIOD, given)
    (found,) = [one for one in examine_machine(CONFIG) if one.subject == "drain"]
    assert found.state == state
    assert found.text.startswith("takes up to 40 s (drain.delay_s + drain.grace_s + 10 s)")
    assert bool(found.advice) is (state != "ok")


def test_outside_of_kubernetes_nothing_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    assert "drain" not in [one.subject for one in examine_machine(CONFIG)]
