"""The limit that follows the time of calls, with a clock that is simulated."""

from dataclasses import dataclass
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.overload import AdaptiveOptions
from gateway.config.upstreams import Upstream
from gateway.upstream.gradient import Gradient


@dataclass
class Simulated:
    """A back end that serves so many calls at once, and lets others queue."""

    gradient: Gradient
    capacity: int = 50
    service_s: float = 0.020
    now_s: float = 0.0

    def windows(self, count: int, offered: int = 1000) -> list[int]:
        """The limits after each of so many windows, while `offered` callers call all the time."""
        limits = []
        for _ in range(count):
            end_s = self.now_s + 1
            while self.now_s < end_s:
                in_flight = min(offered, self.gradient.limit)
                took_s = self.service_s * max(1.0, in_flight / self.capacity)
                self.now_s += took_s
                for _ in range(in_flight):
                    self.gradient.sample(self.now_s, took_s, in_flight)
            limits.append(self.gradient.limit)
        return limits


def simulated(**options: Any) -> Simulated:
    return Simulated(Gradient(AdaptiveOptions.model_validate(options), 0.0))


def test_it_settles_near_what_the_back_end_serves_at_once() -> None:
    back_end = simulated()
    limits = back_end.windows(60)
    assert 30 <= limits[-1] <= 80
    assert limits == sorted(limits), "it has no reason to fall"


def test_it_falls_when_calls_become_four_times_slower_and_recovers() -> None:
    back_end = simulated()
    settled = back_end.windows(60)[-1]
    back_end.service_s *= 4
    slow = back_end.windows(20)
    assert min(slow) <= settled / 2
    assert min(slow) >= 20
    back_end.service_s /= 4
    assert back_end.windows(60)[-1] >= 0.8 * settled


def test_it_does_not_grow_while_few_calls_are_under_way() -> None:
    assert set(simulated().windows(60, offered=9)) == {20}
    assert simulated().windows(60, offered=15)[-1] == 30, "half of the limit is its evidence"


def test_it_stays_within_its_bounds() -> None:
    fast = simulated(max=60, queue=50)
    fast.capacity = 10_000
    assert max(fast.windows(100)) == 60
    slow = simulated(initial=100, min=30)
    slow.windows(20)
    slow.service_s = 1.0
    assert min(slow.windows(60)) == 30


def test_a_window_has_a_second_and_ten_samples() -> None:
    gradient = Gradient(AdaptiveOptions(), 0.0)
    for _ in range(100):
        gradient.sample(0.9, 0.02, 20)
    assert gradient.limit == 20
    gradient.sample(1.0, 0.02, 20)
    assert gradient.limit == 20  # 20.8, of which whole calls count
    for _ in range(9):
        gradient.sample(9.0, 0.02, 20)
    assert gradient.limit == 20
    gradient.sample(9.0, 0.02, 20)
    assert gradient.limit == 21  # 21.6


def test_a_usual_time_that_is_too_old_falls() -> None:
    back_end = simulated(long_window=100_000)
    back_end.capacity = 10_000  # so that no call is slow because of others
    back_end.service_s = 1.0
    back_end.windows(60)
    back_end.service_s = 0.02
    back_end.windows(200)
    limit = back_end.gradient.limit
    back_end.service_s = 1.0
    assert min(back_end.windows(20)) < limit / 2, "it still sees that calls have become slow"


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"adaptive": {"max": 10}}, r"max: expected 20 \(min\) or more"),
        ({"adaptive": {"initial": 500}}, r"initial: expected 20 \(min\) to 200 \(max\)"),
        ({"adaptive": {"tolerance": 0.5}}, "greater than or equal to 1"),
        ({"max_requests": 0}, "greater than or equal to 1"),
        ({"max_requests": 5, "channel": "grpcio"}, "max_requests: is for channel: http2"),
        ({"adaptive": {}, "channel": "grpcio"}, "adaptive: is for channel: http2"),
    ],
)
def test_limits_that_cannot_be_are_refused(settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        Upstream.model_validate({"target": "localhost:1", **settings})
