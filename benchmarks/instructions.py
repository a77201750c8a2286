"""`python -m benchmarks.instructions`: counts the instructions of a request, with callgrind.

Instructions repeat where time does not, so that a small change is seen on a busy machine too. They
are those of the whole process, its log thread included, but not those of the kernel. The gateway
runs as machine code, with one worker, its default settings, and its access log in a file.

Callgrind writes its counts and sets them to zero twice: after N requests, and after 2N more. The
difference of the two, by N, is the cost of one request: what does not depend on requests (timers,
the writing of the counts) is in both. The requests are made from a seed: they are always the same.

They come one after another, on one connection. With several connections, requests share turns of
the event loop and writes, which costs less for each; but how many do depends on the machine.

`--check` compares with the counts in `instructions.json`; see `recorded.py`. On a busy machine the
same requests take longer, so that more of what a process does by time is counted with them. So what
seems to be dearer is counted again, and the lesser count is taken.
"""

import argparse
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from http.client import HTTPConnection
from itertools import repeat
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from benchmarks import recorded
from benchmarks.building import OUT, MissingError, compiled
from benchmarks.hits import CACHED
from benchmarks.peers import GUARD, backend, python_gateway, running
from benchmarks.requests import BROWSER, Request, requests
from benchmarks.sample import HERE
from benchmarks.scenarios import (
    ALL_GUARDS,
    MISSING,
    NOT_FOUND,
    PATCH,
    POST,
    REFUSED,
    SMALL_GET,
    WRONG_FIELDS,
)
from benchmarks.secured import all_guards

_FORMS = {
    "same": SMALL_GET,
    "hit": SMALL_GET,
    "varied": SMALL_GET,
    "404": NOT_FOUND,
    "missing": MISSING,
    "400": WRONG_FIELDS,
    "401": REFUSED,
    "post": POST,
    "patch": PATCH,
    "guards": ALL_GUARDS,
}
FORMS = tuple(_FORMS)
"""Same: one request again and again; hit: the same, answered from the cache. The others differ in
path, trace and request id; missing: a 404 that the back end states; guards: a small GET that passes
all guards."""
_REPEATED = ("same", "hit")
_SETTINGS: Mapping[str, Mapping[str, Any]] = {"hit": CACHED, "401": GUARD}
_REQUESTS = 320
_RECORDED_CONNECTIONS = 32
_START_S = 300  # under callgrind, all takes many times as long
_TOTAL = re.compile(r"^totals: (\d+)$", re.MULTILINE)


def requests_of(form: str) -> Iterator[Request]:
    """Yields requests of a form without end, the same ones in each run; all are a browser's."""
    made = requests(_FORMS[form], (BROWSER,))
    return repeat(next(made)) if form in _REPEATED else made


def count(
    form: str, code: Path, connections: int, endpoints: int = 1, *,
    settings: Mapping[str, Any] | None = None, number: int = _REQUESTS, idle_s: float = 0,
    **upstream: Any,
) -> int:  # fmt: skip
    """The instructions of a request of one form; `code` is a folder with a compiled gateway, and
    `upstream` has settings of its upstream, which has so many endpoints. `settings` are others.

    One request at a time is sent on each of the kept connections, to all of them at once. With
    `idle_s`, the process is also counted for so long without requests, to leave out its timers.

    Raises:
        MissingError: valgrind is missing, cannot be controlled, or the gateway does not start.
    """
    if shutil.which("valgrind") is None:
        raise MissingError("instructions are counted by callgrind: apt-get install valgrind")
    with ExitStack() as held:
        first, *others = [held.enter_context(backend()) for _ in range(endpoints)]
        if others:
            upstream |= {"targets": [{"address": one} for one in (first, *others)]}
        own = all_guards(OUT) if form == "guards" else _SETTINGS.get(form, {})
        command, port = python_gateway(first, {**own, **(settings or {})}, **upstream)
        counts = OUT / f"callgrind-{port}"
        path = f"PYTHONPATH={code}:{HERE.parent}"
        measured = ["env", "PYTHONSAFEPATH=1", "PYTHONHASHSEED=1", path]
        measured += ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
        measured += [f"--callgrind-out-file={counts}", *command]
        with (
            running(measured, port, start_s=_START_S) as pid,
            _connected(port, connections) as clients,
        ):
            made, rounds = requests_of(form), max(number // connections, 1)
            status = _FORMS[form].status
            _send(clients, made, status, rounds)
            control(pid, "instrumentation", "on")
            _send(clients, made, status, rounds)  # callgrind translates the code anew
            control(pid, "zero")
            times_s = [time.monotonic()]
            for round_of in (rounds, 2 * rounds):
                _send(clients, made, status, round_of)
                control(pid, "dump")
                times_s.append(time.monotonic())
            if idle_s:
                time.sleep(idle_s)
                control(pid, "dump")
        found = [total(Path(f"{counts}.{dump}")) for dump in range(1, 4 if idle_s else 3)]
        timers = 0.0
        if idle_s:
            # The second part of the run was as much longer as its requests took.
            timers = found[2] / idle_s * (times_s[2] - 2 * times_s[1] + times_s[0])
        return round((found[1] - found[0] - timers) / (rounds * connections))


@contextmanager
def _connected(port: int, number: int) -> Iterator[Sequence[HTTPConnection]]:
    with ExitStack() as stack:
        yield [
            stack.enter_context(closing(HTTPConnection("127.0.0.1", port, timeout=60)))
            for _ in range(number)
        ]


def _send(
    connections: Sequence[HTTPConnection], made: Iterator[Request], status: int, rounds: int
) -> None:
    """Sends a request on each connection, then reads all answers, and so on."""
    for _ in range(rounds):
        for connection in connections:
            one = next(made)
            connection.request(one.method, one.target, one.body or None, dict(one.headers))
        for connection in connections:
            response = connection.getresponse()
            answer = response.read()
            if response.status != status:
                raise MissingError(f"an answer was {response.status}: {answer[:200]!r}")
    time.sleep(1)  # until the lines of the log are written


def control(pid: int, *words: str) -> None:
    """Tells a process under callgrind what to do.

    Raises:
        MissingError: it does not listen.
    """
    command = ["vgdb", f"--pid={pid}", *words]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise MissingError(f"`{' '.join(command)}` failed: {done.stderr.strip()[-200:]}")


def total(counts: Path) -> int:
    """The instructions in a file of counts.

    Raises:
        MissingError: the file has no total.
    """
    found = _TOTAL.search(counts.read_text())
    if found is None:
        raise MissingError(f"{counts} has no total")
    return int(found[1])


def main() -> int:
    """Counts the instructions of each form, and prints a table."""
    options = _options()
    table = Table("request", "instructions", title="Instructions of a request", box=None)
    counts: dict[str, int] = {}
    try:
        code = options.code.resolve() if options.code else compiled()
        for form in options.forms:
            counts[form] = _counted(form, code, options)
            table.add_row(form, f"{counts[form]:,}")
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    Console().print(table)
    if options.record:
        recorded.record(counts, recorded.this_python())
    return _compared(counts) if options.check else 0


def _counted(form: str, code: Path, options: argparse.Namespace) -> int:
    """The instructions of a request; the lesser of two counts, if the first would be refused."""
    found = count(form, code, options.connections)
    before = recorded.read().get(recorded.this_python(), {})
    if (
        options.check
        and form in before
        and recorded.objections({form: found}, {form: before[form]})
    ):
        return min(found, count(form, code, options.connections))
    return found


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Count the instructions of a request.")
    parser.add_argument("forms", nargs="*", metavar="FORM", help=f"of {', '.join(FORMS)}")
    parser.add_argument(
        "--code",
        type=Path,
        metavar="FOLDER",
        help="a gateway that is compiled already (python -m tools.machine_code FOLDER)",
    )
    parser.add_argument(
        "--connections", type=int, help="kept ones, each with a request at a time (1)"
    )
    gate = parser.add_mutually_exclusive_group()
    gate.add_argument("--check", action="store_true", help="fail if a request has become dearer")
    gate.add_argument("--record", action="store_true", help="record the counts for --check")
    options = parser.parse_args()
    unknown = [form for form in options.forms if form not in FORMS]
    if unknown:
        parser.error(f"no form is named {unknown[0]}; expected some of: {', '.join(FORMS)}")
    if options.check or options.record:
        if options.forms or options.connections is not None:
            parser.error(
                f"--check and --record count {' and '.join(recorded.FORMS)}, "
                f"with {_RECORDED_CONNECTIONS} connections; take away FORM and --connections"
            )
        options.forms, options.connections = recorded.FORMS, _RECORDED_CONNECTIONS
    elif options.connections is None:
        options.connections = 1
    if options.connections < 1:
        parser.error(f"--connections must be 1 or more, got {options.connections}")
    options.forms = options.forms or FORMS
    return options


def _compared(counts: Mapping[str, int]) -> int:
    """Prints how counts compare with those recorded for this Python; returns the exit status."""
    python = recorded.this_python()
    before = recorded.read().get(python)
    if before is None:
        print(f"nothing is recorded for {python}, so only the two forms are compared; see --record")
    objections = recorded.objections(counts, before or {})
    for objection in objections:
        print(objection, file=sys.stderr)
    if before and not objections:
        for form, now in counts.items():
            print(f"{form}: {now / before[form] - 1:+.1%} of the recorded {before[form]:,}")
    return 1 if objections else 0


if __name__ == "__main__":
    sys.exit(main())
