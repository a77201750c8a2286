"""Runs the suite, and compares its results with those that are expected."""

import asyncio
import json
import shutil
import tempfile
from asyncio.subprocess import PIPE, Process
from collections import defaultdict
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

from tests.interop.http_cache.misses import MISSES, OLD_MISSES
from tests.interop.http_cache.origin import cache_of

_TIMEOUT_S = 240
_LINE_BYTES = 4 * 1024 * 1024


class Result(NamedTuple):
    """The result of one test of the suite."""

    name: str
    kind: str
    """`required`; `optimal`: a better cache passes it; `check`: neither answer is wrong."""
    passed: bool
    why: str


async def run_suite(place: Path, *names: str) -> list[Result]:
    """Runs the tests with these names, or all; `place` has the packages of the suite.

    A policy names the headers by which replies vary, and the gateway adds these names to `Vary`,
    which the suite wants unchanged. So tests whose replies vary by the same headers have a gateway
    of their own, with the policy that an operator of such a back end would write.
    """
    async with asyncio.timeout(_TIMEOUT_S), _suite(place) as (_, told):
        pass
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name, vary in told["tests"].items():
        if not names or name in names:
            groups[*vary].append(name)
    async with asyncio.timeout(_TIMEOUT_S), asyncio.TaskGroup() as running:
        tasks = [running.create_task(_run(place, *group)) for group in groups.items()]
    return [result for task in tasks for result in task.result()]


async def settled_results(place: Path, *names: str) -> list[Result]:
    """Runs the tests as `run_suite` does; those that do not end as expected run once more alone.

    Lives of two seconds are short on a busy machine.
    """
    results = await run_suite(place, *names)
    wrong = unexpected(results)
    if not wrong:
        return results
    again = await run_suite(place, *[one.partition(":")[0] for one in wrong])
    better = {one.name: one for one in again}
    return [better.get(one.name, one) for one in results]


async def _run(place: Path, vary: Collection[str], names: Sequence[str]) -> list[Result]:
    """Runs tests whose replies vary by these headers."""
    with tempfile.TemporaryDirectory() as folder:
        async with (
            _suite(place) as (process, told),
            cache_of(told["port"], Path(folder), vary) as url,
        ):
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"base": url, "ids": names}).encode() + b"\n")
            printed = await process.stdout.readline()
    return [Result(*one) for one in json.loads(printed)]


@asynccontextmanager
async def _suite(place: Path) -> AsyncIterator[tuple[Process, dict[str, Any]]]:
    """Starts the suite; yields its process, and what it tells of its origin and its tests."""
    node = shutil.which("node")
    assert node is not None
    command = [node, "--no-warnings", str(place / "suite.js")]
    process = await asyncio.create_subprocess_exec(
        *command, stdin=PIPE, stdout=PIPE, limit=_LINE_BYTES
    )
    try:
        assert process.stdout is not None
        yield process, json.loads(await process.stdout.readline())
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def summary(results: Sequence[Result]) -> str:
    """Returns how many tests of each kind passed."""
    kinds: dict[str, list[bool]] = defaultdict(list)
    for one in results:
        kinds[one.kind].append(one.passed)
    return ", ".join(f"{kind} {sum(kinds[kind])} of {len(kinds[kind])}" for kind in sorted(kinds))


def unexpected(results: Sequence[Result]) -> list[str]:
    """Returns the required tests that should have passed, and those that should not have."""
    # In newer versions it is not required.
    is_old = any(
        one.name == "age-parse-numeric-parameter" and one.kind == "required" for one in results
    )
    misses = MISSES | OLD_MISSES if is_old else MISSES
    return [
        f"{one.name}: {'passed, but is listed as a miss' if one.passed else one.why}"
        for one in results
        if one.kind == "required" and one.passed is (one.name in misses)
    ]
