"""A soak test of a channel: full load, cancels, deadlines, GOAWAYs and restarts, then checks.

`python -m benchmarks.soak --seconds 300`. No call may be lost, answered twice or mixed up; nothing
may be left at the end; our channel's memory must not grow. A call may fail only if the back end was
just killed, or if its deadline or its caller ended it.
"""

import argparse
import asyncio
import gc
import mmap
import os
import random
import signal
import socket
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import uvloop
from google.protobuf.empty_pb2 import DESCRIPTOR as EMPTY

from benchmarks.soak_backend import LEDGER_BYTES, SERVICE, STREAMED, call_id
from gateway.config.upstreams import ChannelKind, Upstream
from gateway.schema.catalog import Method, Source
from gateway.status import Code, StatusError
from gateway.upstream.channels.channel import Channel
from gateway.upstream.pool import CHANNELS

_CALLERS = 64
_DEADLINE_S = 10.0
_LOST_AFTER_S = _DEADLINE_S + 5.0
_RECOVERY_S = 6.0
"""Seconds after a restart in which calls may still fail: the longest delay of a reconnect."""
_OK, _FAILED = 1, 2
_MOST_GROWTH_MB = 8.0
_FLAT = (ChannelKind.HTTP2,)
"""The channels whose memory is checked. grpcio leaks some per cancelled call (grpc/grpc#43360)."""


def _method(name: str, *, asks: bool = False, answers: bool = False) -> Method:
    empty = EMPTY.message_types_by_name["Empty"]
    return Method(SERVICE, name, empty, empty, asks, answers, (), Source("soak"))


ECHO, SLEEP = _method("Echo"), _method("Sleep")
REPEAT = _method("Repeat", answers=True)
GATHER = _method("Gather", asks=True)
TALK = _method("Talk", asks=True, answers=True)


class BackEnd:
    """The back end's process, which is killed or drained and restarted on the same port."""

    def __init__(self, ledger: Path) -> None:
        # Kept, so that no other process is given the port, also while the back end is down: servers
        # of gRPC share ports, and some of the calls would go to the other one. It is no listener,
        # and the back end shares the port with it.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._holder.bind(("127.0.0.1", 0))
        self.port: int = self._holder.getsockname()[1]
        self.restarts = 0
        self._ledger = ledger
        self._calm_at_s = 0.0
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Starts it, and waits until it serves."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "benchmarks.soak_backend", str(self.port), str(self._ledger),
            stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip
        assert self._process.stdout is not None
        await self._process.stdout.readline()

    async def stop(self, number: signal.Signals) -> None:
        """Ends it, and waits until it has exited."""
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)
            await self._process.wait()

    async def close(self) -> None:
        """Ends it for good."""
        await self.stop(signal.SIGKILL)
        self._holder.close()

    async def restart_now_and_then(self, every_s: float) -> None:
        """Kills it, then drains it, and so on, in turn."""
        while True:
            await asyncio.sleep(every_s)
            self._calm_at_s = float("inf")
            self.restarts += 1
            await self.stop(signal.SIGKILL if self.restarts % 2 else signal.SIGTERM)
            await self.start()
            self._calm_at_s = time.monotonic() + _RECOVERY_S

    def is_to_blame(self, started_s: float) -> bool:
        """True if a call that started then may have failed because of a restart."""
        return started_s < self._calm_at_s


@dataclass
class Account:
    """The results of the calls."""

    outcomes: mmap.mmap
    codes: Counter[str] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    next_id: int = 0
    seconds: float = 0.0
    restarts: int = 0

    def new_id(self) -> bytes:
        """The id of the next call."""
        self.next_id += 1
        return self.next_id.to_bytes(8, "big")

    def fault(self, text: str) -> None:
        """Records a fault; only the first few texts are kept."""
        if len(self.faults) < 20:
            self.faults.append(text)

    def growth_mb(self) -> float:
        """The increase of memory from the second quarter to the last."""
        quarter = len(self.memory_mb) // 4
        if not quarter:
            return 0.0
        early, late = self.memory_mb[quarter : 2 * quarter], self.memory_mb[-quarter:]
        return sum(late) / len(late) - sum(early) / len(early)

    def audit(self, ledger: mmap.mmap) -> None:
        """Compares the results of the callers with the records of the back end."""
        for number in range(1, self.next_id + 1):
            done, outcome = ledger[number % LEDGER_BYTES], self.outcomes[number % LEDGER_BYTES]
            if done > 1:
                self.fault(f"call {number} was answered {done} times")
            if outcome == _OK and not done:
                self.fault(f"call {number} succeeded without the back end")


Act = Callable[[Channel, bytes], Awaitable[bool]]
"""Makes a call with this id; returns True if its answer is right."""


async def _echo(channel: Channel, name: bytes) -> bool:
    # Mostly small; sometimes larger than a flow-control window.
    size = random.choice((10, 100, 1000, 1000, 20_000, 200_000) if name[-1] % 8 == 0 else (50,))
    message = name + bytes(size)
    return (await channel.call(ECHO, message, [("x-call", name.hex())], _DEADLINE_S)).message == (
        message
    )


async def _repeat(channel: Channel, name: bytes) -> bool:
    reply = await channel.call(REPEAT, name, [], _DEADLINE_S)
    assert reply.messages is not None
    return [part async for part in reply.messages] == [
        name + bytes((number,)) for number in range(STREAMED)
    ]


async def _leave_early(channel: Channel, name: bytes) -> bool:
    reply = await channel.call(REPEAT, name, [], _DEADLINE_S)
    assert reply.messages is not None
    first = await anext(reply.messages)
    await reply.messages.aclose()
    return first == name + b"\0"


async def _parts(name: bytes, count: int) -> AsyncGenerator[bytes]:
    for number in range(count):
        yield name + bytes(number * 1000)
        if number % 3 == 0:
            await asyncio.sleep(0)


async def _gather(channel: Channel, name: bytes) -> bool:
    reply = await channel.call(GATHER, _parts(name, 9), [], _DEADLINE_S)
    return reply.message == name + b"\x09"


async def _talk(channel: Channel, name: bytes) -> bool:
    reply = await channel.call(TALK, _parts(name, 6), [], _DEADLINE_S)
    assert reply.messages is not None
    sizes = [(call_id(part), len(part)) async for part in reply.messages]
    return sizes == [(call_id(name), 8 + number * 1000) for number in range(6)]


async def _cancel(channel: Channel, name: bytes) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(random.expovariate(200)):
            act = random.choice((_echo, _repeat, _gather, _talk))
            return await act(channel, name)
    return True


async def _run_late(channel: Channel, name: bytes) -> bool:
    try:
        await channel.call(SLEEP, name, [], random.uniform(0.001, 0.05))
    except StatusError as error:
        if error.code is not Code.DEADLINE_EXCEEDED:
            raise
        return True
    return False


ACTS: tuple[Act, ...] = (_echo, _repeat, _leave_early, _gather, _talk, _cancel, _run_late)
_WEIGHTS = (70, 6, 3, 5, 5, 8, 3)


async def _call_on(channel: Channel, back_end: BackEnd, account: Account, until_s: float) -> None:
    """Makes one call after the other, and records the result of each."""
    while (now_s := time.monotonic()) < until_s:
        name = account.new_id()
        (act,) = random.choices(ACTS, _WEIGHTS)
        outcome = _FAILED
        try:
            async with asyncio.timeout(_LOST_AFTER_S):
                is_right = await act(channel, name)
        except StatusError as error:
            account.codes[error.code.name] += 1
            if not back_end.is_to_blame(now_s):
                age_s = time.monotonic() - now_s
                account.fault(f"{act.__name__}: {error!r} after {age_s:.3f} s, the back end was up")
            await asyncio.sleep(0.01)
        except TimeoutError:
            account.fault(f"{act.__name__}: lost")
        else:
            outcome = _OK
            account.codes["OK"] += 1
            if not is_right:
                account.fault(f"{act.__name__}: the answer of another call")
        if act not in (_cancel, _run_late):
            account.outcomes[call_id(name) % LEDGER_BYTES] = outcome


async def _weigh(account: Account) -> None:
    """Records the memory of this process twice a second."""
    page_mb = os.sysconf("SC_PAGE_SIZE") / 1e6
    while True:
        await asyncio.sleep(0.5)
        text = await asyncio.to_thread(Path("/proc/self/statm").read_text, "ascii")
        resident, shared = map(int, text.split()[1:3])
        account.memory_mb.append((resident - shared) * page_mb)  # without the ledgers' pages


def _left(kinds: tuple[str, ...]) -> list[str]:
    gc.collect()
    names = [type(thing).__name__ for thing in gc.get_objects()]
    return [name for name in names if name in kinds]


@asynccontextmanager
async def _background(*jobs: Awaitable[None]) -> AsyncIterator[None]:
    tasks = [asyncio.ensure_future(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def soak(seconds: float, kind: ChannelKind, ledgers: Path) -> Account:
    """Runs callers for this many seconds, then closes the channel and checks the results."""
    files = [ledgers / "done", ledgers / "outcomes"]
    for file in files:
        with file.open("wb") as empty:
            empty.truncate(LEDGER_BYTES)
    with (
        files[0].open("r+b") as done_file,
        files[1].open("r+b") as outcomes_file,
        mmap.mmap(done_file.fileno(), LEDGER_BYTES) as done,
        mmap.mmap(outcomes_file.fileno(), LEDGER_BYTES) as outcomes,
    ):
        account = Account(outcomes, seconds=seconds)
        await _load(account, BackEnd(files[0]), kind)
        account.audit(done)
    return account


async def _load(account: Account, back_end: BackEnd, kind: ChannelKind) -> None:
    await back_end.start()
    before = asyncio.all_tasks()
    channel = CHANNELS[kind]("soak", Upstream(target=f"127.0.0.1:{back_end.port}"))
    until_s = time.monotonic() + account.seconds
    try:
        every_s = max(4.0, min(20.0, account.seconds / 3))
        async with _background(back_end.restart_now_and_then(every_s), _weigh(account)):
            callers = [_call_on(channel, back_end, account, until_s) for _ in range(_CALLERS)]
            await asyncio.gather(*callers)
    finally:
        await channel.close(1.0)
        await back_end.close()
    await asyncio.sleep(0.2)
    account.restarts = back_end.restarts
    for task in asyncio.all_tasks() - before:
        account.fault(f"left: {task!r}")
    for name in _left(("UnaryCall", "StreamingCall", "Stream", "Replies", "Http2Socket")):
        account.fault(f"left: a {name}")
    if kind in _FLAT and account.growth_mb() > _MOST_GROWTH_MB:
        account.fault(f"memory grew by {account.growth_mb():.1f} MB")


def main() -> int:
    """Runs the soak test, prints the results, and returns 1 if there are faults."""
    parser = argparse.ArgumentParser(description="Soak a channel.")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--channel", type=ChannelKind, default=ChannelKind.HTTP2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        account = uvloop.run(soak(options.seconds, options.channel, Path(place)))
    memory = account.memory_mb or [0.0]
    print(f"{account.next_id} calls in {options.seconds:g} s, {account.restarts} restarts")
    print("  ".join(f"{name} {count}" for name, count in account.codes.most_common()))
    print(
        f"memory {memory[0]:.1f} MB first, {max(memory):.1f} most, {memory[-1]:.1f} last; "
        f"grew by {account.growth_mb():.1f}"
    )
    for fault in account.faults:
        print(f"FAULT {fault}")
    return bool(account.faults)


if __name__ == "__main__":
    sys.exit(main())
