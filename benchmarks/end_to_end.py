"""This gateway and its peers side by side, in one run on one machine.

CPU microseconds a request is the steady measure: user and system time of the gateway's processes
over the requests they answered. Rounds are interleaved, medians reported.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from math import nan
from statistics import median

from benchmarks.building import MissingError
from benchmarks.load import (
    Scenario,
    ask,
    cpu_s,
    forget_peak,
    latencies_ms,
    need_wrk,
    peak_mb,
    saturate,
)
from benchmarks.peers import OURS, Peer, backend, peers, running
from benchmarks.sample import item_of_1_kb

_MEGABYTE = 1_000_000
STREAMED = 10_000
SMALL_GET = Scenario("small GET", "/v1/shelves/7/items/42")
SCENARIOS = (
    SMALL_GET,
    Scenario("POST 1 kB", "/v1/shelves/7/items", item_of_1_kb(), "application/json"),
    Scenario("list of 100", "/v1/items?count=100"),
    Scenario("list of 10,000", "/v1/items?count=10000", connections=2, slowness=3),
    Scenario(
        f"stream of {STREAMED:,}", f"/v1/items:watch?count={STREAMED}", connections=2, slowness=3
    ),
    Scenario("1 MB down", f"/v1/blobs/{_MEGABYTE}", connections=8),
    Scenario("1 MB up", "/v1/blobs/b", bytes(_MEGABYTE), "application/octet-stream", connections=8),
    Scenario("404", "/v1/nowhere", status=404),
    Scenario("401 refused", SMALL_GET.target, status=401, token="gwt_unknown", guarded=True),
)


@dataclass(frozen=True)
class Sample:
    """What one round of one scenario cost; latencies are at half of the saturated rate."""

    cpu_us: float
    rate: float
    busy: float
    """The share of its core that the gateway used; below 0.9 the load was the tighter end."""
    p50_ms: float
    p99_ms: float
    peak_mb: float


Results = dict[str, dict[str, Sample]]
"""By the names of scenario and gateway."""


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 3
    load_s: int = 3
    paced_s: float = 2.0


def run(scenarios: Sequence[Scenario], effort: Effort) -> Results:
    """The medians for each scenario and gateway; who cannot do one is left out of it with a word.

    Raises:
        MissingError: wrk is missing, or this gateway itself does not start.
    """
    need_wrk()
    samples: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    with backend() as address:
        guarded = {scenario.guarded for scenario in scenarios}
        contestants = [peer for peer in peers(address) if peer.guards in guarded]
        for number in range(effort.rounds):
            for peer in list(contestants):
                print(f"round {number + 1} of {effort.rounds}: {peer.name}", file=sys.stderr)
                try:
                    found = _round(peer, scenarios, effort)
                except MissingError as missing:
                    if peer.name == OURS:
                        raise
                    print(f"left out: {peer.name}: {missing}", file=sys.stderr)
                    contestants.remove(peer)
                    continue
                for scenario, sample in found.items():
                    samples[scenario][peer.name].append(sample)
    return {
        scenario.name: {name: _median(found) for name, found in samples[scenario.name].items()}
        for scenario in scenarios
        if samples[scenario.name]  # nobody may be there who does it
    }


def _round(peer: Peer, scenarios: Sequence[Scenario], effort: Effort) -> dict[str, Sample]:
    found = {}
    with running(peer.command, peer.port) as pid:
        for scenario in scenarios:
            if scenario.guarded is peer.guards and _serves(peer, scenario):
                found[scenario.name] = _measure(peer, pid, scenario, effort)
    return found


def _serves(peer: Peer, scenario: Scenario) -> bool:
    """Whether a gateway does what the scenario is about; looked at before each measurement."""
    status, body = ask(peer.port, scenario)
    reason = ""
    if status != scenario.status:
        reason = f"answers {status}"
    elif scenario is SMALL_GET and json.loads(body)["serial"] != "9007199254740993":
        reason = "its JSON is not ProtoJSON"
    if reason:
        print(f"left out: {peer.name}, {scenario.name}: {reason}", file=sys.stderr)
    return not reason


def _measure(peer: Peer, pid: int, scenario: Scenario, effort: Effort) -> Sample:
    saturate(peer.port, scenario, 1)  # to warm up
    forget_peak(pid)
    before_s = cpu_s(pid)
    load_s = effort.load_s * scenario.slowness
    answers = saturate(peer.port, scenario, load_s)
    spent_s = cpu_s(pid) - before_s
    failed = answers.of_another_kind if scenario.status == 200 else 0
    if failed:
        print(f"{peer.name}, {scenario.name}: {failed} failed under load", file=sys.stderr)
    p50_ms = p99_ms = nan
    if answers.requests:
        p50_ms, p99_ms = latencies_ms(peer.port, scenario, answers.rate / 2, effort.paced_s)
    good = answers.requests - failed
    cpu_us = spent_s / good * 1e6 if good else nan
    return Sample(cpu_us, answers.rate, spent_s / load_s, p50_ms, p99_ms, peak_mb(pid))


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        median(s.cpu_us for s in samples),
        median(s.rate for s in samples),
        median(s.busy for s in samples),
        median(s.p50_ms for s in samples),
        median(s.p99_ms for s in samples),
        max(s.peak_mb for s in samples),
    )
