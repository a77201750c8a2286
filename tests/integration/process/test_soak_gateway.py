"""A short soak of a whole gateway: what the long one proves for minutes, for some seconds."""

import sys
from pathlib import Path

import pytest

from benchmarks.soak_gateway import Samples, Soak, soak

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")


@pytest.mark.slow
async def test_reloads_and_killed_workers_cost_nothing_that_stays(tmp_path: Path) -> None:
    found = await soak(20, tmp_path)
    assert found.faults == []
    assert found.kills >= 1
    assert found.reloads >= 2
    assert set(found.done) == {"call", "call_large", "fail", "leave", "stream", "websocket"}


@pytest.mark.parametrize(
    ("values", "rise"),
    [
        pytest.param([50.0] * 30, 0.0, id="flat"),
        pytest.param([*range(10), *[9.0] * 20], 0.0, id="it grows during the warm-up alone"),
        pytest.param([float(number) for number in range(30)], 19.0, id="it grows all the time"),
        pytest.param([5.0, 7.0] * 15, 0.0, id="it goes up and down"),
    ],
)
def test_growth_is_the_rise_after_the_warm_up(values: list[float], rise: float) -> None:
    samples = Samples([float(number) for number in range(30)], values, [0.0] * 30)
    assert samples.growth(values) == pytest.approx(rise, abs=0.6)
    found = Soak(survivor=samples)
    found.judge()
    assert len(found.faults) == (rise > 8)
