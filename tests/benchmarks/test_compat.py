"""The rows of the count of what habits of other gateways cost."""

import pytest

from benchmarks.compat import OFF, SETS, config_of, stages_of, work_of


def test_what_is_off_adds_no_stage_to_a_call() -> None:
    stages = {name: stages_of(config_of(name)) for name in SETS}
    assert stages.pop("conventions") > 0
    assert set(stages.values()) == {0}


@pytest.mark.parametrize("form", ["GET", "list", "POST", "PATCH"])
@pytest.mark.parametrize("name", [OFF, "conventions", "envoy", "google", "grpc-gateway"])
def test_each_set_serves_each_form(name: str, form: str) -> None:
    work_of(config_of(name), form)()
