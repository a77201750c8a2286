"""Puts load on one gateway with wrk, and reads its processor time and memory from /proc."""

import gzip
import http.client
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from math import nan
from pathlib import Path

from benchmarks.building import OUT, MissingError, paced
from benchmarks.peers import LOAD_CORE, Peer
from benchmarks.requests import first, requests
from benchmarks.sample import HERE
from benchmarks.scenarios import Scenario, Setup
from benchmarks.secured import trusting

_FILE_BYTES = 16_000_000
"""The size of all requests of a scenario: small ones come again after some 20,000 others."""
_HEAD_BYTES = 800
_WARM_UP_S = 60.0
"""The longest that one scenario is sent to warm up, in seconds."""


@dataclass(frozen=True)
class Answers:
    """The counts that wrk reports."""

    requests: int
    rate: float
    of_another_kind: int
    """Answers with a status other than 2xx and 3xx."""


@contextmanager
def on_load_core() -> Iterator[None]:
    """Runs this process on the core of the load, of which it is a part meanwhile."""
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {int(LOAD_CORE)})
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def need_wrk() -> None:
    """Raises MissingError if there is no wrk."""
    if shutil.which("wrk") is None:
        raise MissingError("the load comes from wrk: apt-get install wrk")


Ask = Callable[[Scenario], tuple[int, bytes]]
"""Sends a request; returns the answer's status and body."""


@contextmanager
def keeping(port: int, scheme: str = "http") -> Iterator[Ask]:
    """Yields a function that sends requests over one kept connection."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    if scheme == "https":
        context = trusting(OUT)
        connection = http.client.HTTPSConnection("127.0.0.1", port, timeout=60, context=context)

    def ask(scenario: Scenario) -> tuple[int, bytes]:
        request = first(scenario)
        coding = "gzip" if scenario.setup is Setup.GZIP else "identity"
        headers = {**request.headers, "Accept-Encoding": coding}
        connection.request(request.method, request.target, request.body or None, headers)
        response = connection.getresponse()
        body = response.read()
        if coding != response.headers.get("Content-Encoding", "identity"):
            return response.status, b""
        return response.status, gzip.decompress(body) if coding == "gzip" else body

    try:
        yield ask
    finally:
        connection.close()


def ask(port: int, scenario: Scenario) -> tuple[int, bytes]:
    """Sends one request; returns status and body."""
    with keeping(port, scenario.scheme) as ask_once:
        return ask_once(scenario)


def names_of_headers(port: int, scenario: Scenario) -> set[str]:
    """The names of the headers of an answer, in lower case."""
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        request = first(scenario)
        connection.request(request.method, request.target, request.body or None, request.headers)
        return {name.lower() for name, _ in connection.getresponse().getheaders()}


def saturate(port: int, scenario: Scenario, seconds: int) -> Answers:
    """Sends as many requests as the gateway can answer."""
    command = ["taskset", "-c", LOAD_CORE, "wrk", "-t1"]
    command += [f"-c{scenario.connections}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["-s", str(HERE / "load.lua"), f"{scenario.scheme}://127.0.0.1:{port}"]
    command += ["--", str(_request_file(port, scenario))]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=seconds + 30)
    requests = re.search(r"(\d+) requests in", done.stdout)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done.stdout)
    others = re.search(r"Non-2xx or 3xx responses: (\d+)", done.stdout)
    if requests is None or rate is None:
        raise MissingError(f"unexpected output of wrk:\n{done.stdout}")
    return Answers(int(requests[1]), float(rate[1]), int(others[1]) if others else 0)


def exhaust(port: int, scenario: Scenario, seconds: float) -> Answers:
    """Like `saturate`, for slow requests: counts each that was started."""
    command = [sys.executable, "-m", "benchmarks.at_once"]
    said = _figures(command, port, scenario, str(scenario.connections), seconds)
    if said is None:
        return Answers(0, 0.0, 0)
    answered, good, took_s = said
    return Answers(int(answered), answered / took_s, int(answered - good))


def warm_up(peer: Peer, scenario: Scenario, seconds: int = 3) -> int:
    """Sends what a gateway that compiles as it runs must have answered before it is measured.

    Sends for `seconds` at a time, and returns the number of requests.
    """
    load = exhaust if scenario.slow else saturate
    answered, until_s = 0, time.monotonic() + _WARM_UP_S
    while answered < peer.warm_up and time.monotonic() < until_s:
        answered += load(peer.port, scenario, seconds).requests
    return answered


def latencies_ms(port: int, scenario: Scenario, rate: float, seconds: float) -> tuple[float, float]:
    """The median and the 99th percentile of the latency, at a constant rate; NaN with TLS.

    Raises:
        MissingError: there is no C compiler.
    """
    if scenario.scheme == "https":
        return nan, nan
    p50_ms, p99_ms = _figures([str(paced())], port, scenario, f"{rate:.3f}", seconds) or (nan, nan)
    return p50_ms, p99_ms


def _figures(
    command: Sequence[str], port: int, scenario: Scenario, load: str, seconds: float
) -> list[float] | None:
    """The output of a program that sends load; None, with a message, if it failed."""
    command = ["taskset", "-c", LOAD_CORE, *command, str(port), load, str(seconds)]
    command += [str(_request_file(port, scenario))]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=90)
    if done.returncode:
        print(f"no figure for {scenario.name}: {done.stderr.strip()[-200:]}", file=sys.stderr)
        return None
    return [float(value) for value in done.stdout.split()]


def _request_file(port: int, scenario: Scenario) -> Path:
    """Writes different requests of a scenario, each after its length in eight digits."""
    most = 1 if scenario.repeats else max(_FILE_BYTES // (_HEAD_BYTES + len(scenario.body)), 2)
    made = (one.wire(f"127.0.0.1:{port}") for one in islice(requests(scenario), most))
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / "requests"
    with file.open("wb") as output:
        for request in made:
            output.write(b"%08d" % len(request) + request)
    return file


def cpu_s(pid: int) -> float:
    """User and system seconds of a process and its descendants."""
    return sum(map(own_cpu_s, family(pid)))


def own_cpu_s(pid: int) -> float:
    """User and system seconds of a process without its descendants."""
    # The clock of the process, in nanoseconds (clock_getcpuclockid(3)): /proc counts in hundredths
    # of a second, which is a hundredth of a turn.
    return time.clock_gettime(~pid << 3 | 2)


def pin(pid: int, core: int) -> None:
    """Lets all threads of a process run on one core only."""
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def forget_peak(pid: int) -> None:
    """Resets the peak of memory to the current use (proc(5), clear_refs)."""
    for one in family(pid):
        with suppress(OSError):  # not every kernel supports it; then peaks count from the start
            Path(f"/proc/{one}/clear_refs").write_text("5")


def peak_mb(pid: int) -> float:
    """The peak of memory of a process and its descendants since `forget_peak`."""
    return sum(_status_mb(one, "VmHWM") for one in family(pid))


def resident_mb(pid: int) -> float:
    """The current memory of a process and its descendants."""
    return sum(_status_mb(one, "VmRSS") for one in family(pid))


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(member for child in children for member in family(int(child)))]


def _status_mb(pid: int, name: str) -> float:
    found = re.search(rf"{name}:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found[1]) / 1024 if found else float("nan")
