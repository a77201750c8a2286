"""The endpoints that take calls: simulations with states that change, by the figures of gRPC and
Envoy."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest

from gateway.call import Reply
from gateway.config.upstreams import Balance
from gateway.upstream.endpoint import Endpoint, State
from gateway.upstream.endpoints import Endpoints, Member
from gateway.upstream.pickers import policy_of


class Settable:
    """A channel to an endpoint, whose state the test sets; no call is made."""

    def __init__(self) -> None:
        self.state = State.READY
        self.failure = ""
        self.in_flight = 0
        self.is_full = False
        self._told: Callable[[], None] = lambda: None

    def call(self, *_: object) -> Awaitable[Reply]:
        raise AssertionError

    async def close(self, grace_s: float = 0.0) -> None:
        """Does nothing."""

    def keep_open(self) -> None:
        """Does nothing."""

    def on_change(self, told: Callable[[], None]) -> None:
        self._told = told

    def becomes(self, state: State) -> None:
        self.state = state
        self._told()


class Simulated:
    """Endpoints in so many priorities, and what becomes of calls."""

    def __init__(self, *counts: int, balance: Balance = Balance.ROUND_ROBIN, **more: Any) -> None:
        self.channels: dict[str, Settable] = {}
        self.endpoints = Endpoints("library", self._open, policy_of(balance, Random(1)), 0, **more)
        self.endpoints.replace(
            Endpoint((f"10.{priority}.0.{number}:1",), priority=priority)
            for priority, count in enumerate(counts)
            for number in range(count)
        )
        self.endpoints.start()

    def _open(self, endpoint: Endpoint) -> Settable:
        made = self.channels[str(endpoint)] = Settable()
        return made

    def become(self, state: State, count: int, priority: int = 0, after: int = 0) -> None:
        """Sets the state of so many endpoints of a priority, after the first ones."""
        for number in range(after, after + count):
            self.channels[f"10.{priority}.0.{number}:1"].becomes(state)

    def calls(self, count: int) -> Counter[str]:
        found: Counter[str] = Counter()
        for _ in range(count):
            chosen = self.endpoints.pick()
            assert chosen is not None
            found[str(chosen.endpoint)] += 1
        return found


def test_turns_are_even_and_stay_so_when_one_of_three_fails_and_returns() -> None:
    simulated = Simulated(3)
    assert all(abs(times - 1000) <= 1 for times in simulated.calls(3000).values())
    simulated.become(State.FAILING, 1)
    assert all(abs(times - 1500) <= 1 for times in simulated.calls(3000).values())
    simulated.become(State.READY, 1)
    counted = simulated.calls(3000)
    assert len(counted) == 3
    assert all(abs(times - 1000) <= 1 for times in counted.values())


@pytest.mark.parametrize("state", [State.CONNECTING, State.IDLE, State.FAILING])
def test_one_that_is_not_connected_gets_no_calls_while_others_are(state: State) -> None:
    simulated = Simulated(3)
    simulated.become(state, 2)
    assert len(simulated.calls(30)) == 1


def test_no_call_waits_behind_another_while_one_of_its_priority_has_room() -> None:
    waiting = SimpleNamespace(count=0, at_limit=1)
    simulated = Simulated(5, 1, waiting=waiting)
    first, *others = [simulated.channels[f"10.0.0.{number}:1"] for number in range(5)]
    first.is_full = True
    counted = simulated.calls(400)
    assert set(counted) == {f"10.0.0.{number}:1" for number in (1, 2, 3, 4)}
    assert min(counted.values()) > 80
    simulated.become(State.EJECTED, 1, after=1)
    assert len(simulated.calls(100)) == 3, "one that is left out is no way out"
    for one in others:
        one.is_full = True
    assert "10.1.0.0:1" not in simulated.calls(30), "nor is a lower priority"
    first.is_full = False
    assert set(simulated.calls(30)) == {"10.0.0.0:1"}
    others[1].is_full = others[2].is_full = False
    others[1].is_full = True
    repeats = [simulated.endpoints.another([]) for _ in range(30)]
    again = {str(one.endpoint) for one in repeats if one is not None}
    assert again == {"10.0.0.0:1", "10.0.0.3:1"}, "nor does a repeat wait"


def test_calls_with_a_key_and_those_for_the_first_one_wait_for_their_endpoint() -> None:
    simulated = Simulated(2, balance=Balance.PICK_FIRST)
    simulated.channels["10.0.0.0:1"].is_full = True
    assert set(simulated.calls(10)) == {"10.0.0.0:1"}


@pytest.mark.parametrize("state", [State.CONNECTING, State.IDLE, State.FAILING])
def test_with_keys_one_that_connects_for_the_first_time_takes_its_calls(state: State) -> None:
    simulated = Simulated(3, waits_for_connecting=True)
    simulated.become(state, 2)
    assert len(simulated.calls(30)) == (1 if state is State.FAILING else 3)


def test_calls_wait_for_one_that_connects_for_the_first_time_not_for_one_that_failed() -> None:
    simulated = Simulated(3)
    simulated.become(State.FAILING, 3)
    simulated.become(State.CONNECTING, 1)
    assert set(simulated.calls(30)) == {"10.0.0.0:1"}


@pytest.mark.parametrize("state", [State.EJECTED, State.UNHEALTHY])
@pytest.mark.parametrize(
    ("well", "percent", "panics"),
    [(5, 50, False), (4, 50, True), (1, 0, False), (2, 20, False), (1, 20, True), (9, 100, True)],
)
def test_below_the_threshold_those_left_out_get_calls_too(
    state: State, well: int, percent: int, panics: bool
) -> None:
    simulated = Simulated(10, panic_percent=percent)
    simulated.become(state, 10 - well)
    assert simulated.endpoints.panics is panics
    assert len(simulated.calls(100)) == (10 if panics else well)
    simulated.become(State.READY, 10 - well)
    assert not simulated.endpoints.panics


def test_a_panic_and_its_end_are_events(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "gateway.upstream")
    simulated = Simulated(3)
    simulated.become(State.EJECTED, 2)
    simulated.become(State.READY, 2)
    events = [getattr(one, "gateway_event", "") for one in caplog.records]
    panics = [one for one in events if "panic" in one]
    assert panics == ["gateway.upstream.panic", "gateway.upstream.panic_over"]


def test_in_a_panic_what_cannot_be_reached_gets_no_calls() -> None:
    simulated = Simulated(10)
    simulated.become(State.EJECTED, 4)
    simulated.become(State.FAILING, 3, after=4)
    assert simulated.endpoints.panics
    assert len(simulated.calls(100)) == 7


@pytest.mark.parametrize(
    ("well", "first"),
    [((72, 100), 100), ((71, 100), 99), ((50, 100), 70), ((25, 100), 35), ((0, 100), 0)],
)
def test_priorities_get_the_shares_of_envoys_table(well: tuple[int, int], first: int) -> None:
    simulated = Simulated(100, 100)
    for priority, usable in enumerate(well):
        simulated.become(State.UNHEALTHY, 100 - usable, priority)
    counted = simulated.calls(10_000)
    near = sum(times for address, times in counted.items() if address.startswith("10.0."))
    assert near / 100 == pytest.approx(first, abs=1.5)
    assert not simulated.endpoints.panics, "all together can take the calls"


def test_only_the_level_below_the_threshold_panics() -> None:
    simulated = Simulated(20, 20)
    simulated.become(State.UNHEALTHY, 19, 0)
    simulated.become(State.UNHEALTHY, 7, 1)
    counted = simulated.calls(10_000)  # 5 % and 65 % are well: 7 % and 93 % of the calls
    near = {address: times for address, times in counted.items() if address.startswith("10.0.")}
    assert simulated.endpoints.panics
    assert sum(near.values()) / 100 == pytest.approx(7, abs=1)
    assert len(near) == 20, "all of the first level"
    assert len(counted) - len(near) == 13, "of the second only those that are well"


def test_a_repeat_goes_to_the_lowest_priority_with_an_untried_endpoint() -> None:
    simulated = Simulated(2, 2)
    tried: list[Member] = []
    for _ in range(4):
        member = simulated.endpoints.another(tried)
        assert member is not None
        tried.append(member)
    assert [one.endpoint.priority for one in tried] == [0, 0, 1, 1]
    assert simulated.endpoints.another(tried) is None


async def test_a_change_of_addresses_keeps_those_that_stay() -> None:
    simulated = Simulated(2)
    stays = simulated.channels["10.0.0.1:1"]
    stays.in_flight = 3
    simulated.endpoints.replace([Endpoint(("10.0.0.1:1",), 5), Endpoint(("10.0.0.7:1",))])
    assert simulated.channels["10.0.0.1:1"] is stays
    assert set(simulated.calls(60)) == {"10.0.0.1:1", "10.0.0.7:1"}
    await asyncio.sleep(0)
    report = {one.address: (one.weight, one.in_flight) for one in simulated.endpoints.report()}
    assert report["10.0.0.1:1"] == (5, 3)
