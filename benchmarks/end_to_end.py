"""This gateway and its peers side by side, in one run on one machine.

CPU microseconds a request is the steady measure: user and system time of the gateway's processes
over the requests they answered. Rounds are interleaved, medians reported.
"""

import json
import os
import re
import shutil
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.peers import LOAD_CORE, OUT, MissingError, Peer, backend, build, peers, running
from benchmarks.sample import item_of_1_kb

_CLOCK = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Scenario:
    """One kind of request."""

    name: str
    target: str
    seconds: int
    post: bool = False


SMALL_GET = Scenario("small GET", "/v1/shelves/7/items/42", 4)
SCENARIOS = (
    SMALL_GET,
    Scenario("POST 1 kB", "/v1/shelves/7/items", 4, post=True),
    Scenario("list of 100", "/v1/items?count=100", 4),
    Scenario("list of 10,000", "/v1/items?count=10000", 6),
    Scenario("404", "/v1/nowhere", 3),
)


@dataclass(frozen=True)
class Sample:
    """What one round of one scenario cost."""

    cpu_us: float
    rate: float
    p50_ms: float
    p99_ms: float
    peak_mb: float


Results = dict[str, dict[str, Sample]]


def run(*, quick: bool, rounds: int = 3) -> Results:
    """The medians for each scenario and gateway.

    Raises:
        MissingError: wrk or the Go toolchain is missing.
    """
    if shutil.which("wrk") is None:
        raise MissingError("the load comes from wrk: apt-get install wrk")
    build()
    scenarios = (SMALL_GET,) if quick else SCENARIOS
    samples: dict[str, dict[str, list[Sample]]] = defaultdict(lambda: defaultdict(list))
    with backend() as address:
        for _ in range(rounds):
            for peer in peers(address):
                with running(peer.command, peer.port, "0") as pid:
                    for scenario in scenarios:
                        sample = measure(peer, pid, scenario)
                        samples[scenario.name][peer.name].append(sample)
    return {
        scenario: {name: _median(found) for name, found in by_peer.items()}
        for scenario, by_peer in samples.items()
    }


def measure(peer: Peer, pid: int, scenario: Scenario) -> Sample:
    """One round: a second to warm up, then load from 32 connections."""
    load(peer, scenario, 1, 8)
    before = cpu_s(pid)
    requests, rate, _, _ = load(peer, scenario, scenario.seconds, 32)
    spent = cpu_s(pid) - before
    _, _, p50_ms, p99_ms = load(peer, scenario, 2, 4)
    return Sample(spent / max(requests, 1) * 1e6, rate, p50_ms, p99_ms, peak_mb(pid))


def load(
    peer: Peer, scenario: Scenario, seconds: int, connections: int
) -> tuple[int, float, float, float]:
    """Requests answered, a second, and the latencies of the middle and the slowest hundredth."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1", f"-c{connections}", f"-d{seconds}s"]
    if scenario.post:
        command += ["-s", str(_post_script())]
    command += ["--latency", f"{peer.url}{scenario.target}"]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30)
    found = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    if found is None or rate is None:
        raise MissingError(f"wrk said something unexpected:\n{done.stdout}")
    return int(found[1]), float(rate[1]), _latency(done.stdout, 50), _latency(done.stdout, 99)


def _latency(text: str, percentile: int) -> float:
    found = re.search(rf"{percentile}%\s+([\d.]+)(us|ms|s)", text)
    scale = {"us": 1e-3, "ms": 1.0, "s": 1e3}
    return float(found[1]) * scale[found[2]] if found else float("nan")


def _post_script() -> Path:
    script = OUT / "post.lua"
    body = item_of_1_kb().decode().replace("\\", "\\\\").replace("'", "\\'")
    script.write_text(
        f"wrk.method = 'POST'\nwrk.body = '{body}'\n"
        "wrk.headers['Content-Type'] = 'application/json'\n"
    )
    return script


def cpu_s(pid: int) -> float:
    """User and system seconds of a process; `taskset` has become it."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _CLOCK


def peak_mb(pid: int) -> float:
    """The most memory a process has held."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else float("nan")


def _median(samples: list[Sample]) -> Sample:
    return Sample(
        median(s.cpu_us for s in samples),
        median(s.rate for s in samples),
        median(s.p50_ms for s in samples),
        median(s.p99_ms for s in samples),
        max(s.peak_mb for s in samples),
    )


def save(results: Results) -> Path:
    """The results as JSON, dated."""
    path = OUT / "end_to_end.json"
    document = {
        "measured": datetime.now(UTC).isoformat(timespec="minutes"),
        "cpu_us_a_request": {
            scenario: {name: round(sample.cpu_us, 1) for name, sample in by_peer.items()}
            for scenario, by_peer in results.items()
        },
    }
    path.write_text(json.dumps(document, indent=2) + "\n")
    return path
