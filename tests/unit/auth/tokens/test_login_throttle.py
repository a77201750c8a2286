"""Guessing gets slow; being right does not."""

import asyncio
from pathlib import Path

import pytest

from gateway.auth.tokens.login_throttle import LoginThrottle, TooManyAttemptsError
from gateway.config.auth import TokenOptions
from gateway.stores.memory import MemoryStore
from gateway.stores.sqlite.store import SqliteStore
from tests.support.recording import AuditLog, Clock

OPTIONS = TokenOptions(failures=3, failure_window_s=300.0)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def audit_log() -> AuditLog:
    return AuditLog()


@pytest.fixture
def attempts(clock: Clock, audit_log: AuditLog) -> LoginThrottle:
    return LoginThrottle(MemoryStore(clock), audit_log, OPTIONS)


async def fail(attempts: LoginThrottle, name: str = "demo", peer: str = "10.0.0.1") -> None:
    async with attempts.attempt([name], peer) as attempt:
        await attempt.fail(name, "invalid_client")


async def succeed(attempts: LoginThrottle, name: str = "demo", peer: str = "10.0.0.1") -> None:
    async with attempts.attempt([name], peer):
        pass


async def test_after_too_many_failures_even_the_right_secret_must_wait(
    attempts: LoginThrottle, clock: Clock
) -> None:
    for _ in range(3):
        await fail(attempts)
    with pytest.raises(TooManyAttemptsError) as refused:
        await succeed(attempts)
    clock.now_s += refused.value.retry_after_s
    await succeed(attempts)


async def test_whoever_is_right_is_never_slowed_down(attempts: LoginThrottle) -> None:
    for _ in range(100):
        await succeed(attempts)


async def test_others_are_not_locked_out_by_a_few(attempts: LoginThrottle) -> None:
    for _ in range(3):
        await fail(attempts)
    await succeed(attempts, peer="10.0.0.2")
    await succeed(attempts, name="other")


async def test_many_addresses_that_guess_one_name_are_slowed_down(attempts: LoginThrottle) -> None:
    for number in range(30):
        await fail(attempts, peer=f"10.0.0.{number}")
    with pytest.raises(TooManyAttemptsError):
        await succeed(attempts, peer="10.9.9.9")


async def test_one_address_that_guesses_many_names_is_slowed_down(attempts: LoginThrottle) -> None:
    for number in range(30):
        await fail(attempts, name=f"client {number}")
    with pytest.raises(TooManyAttemptsError):
        await succeed(attempts, name="another")


async def test_one_attempt_counts_for_the_name_that_was_wrong(attempts: LoginThrottle) -> None:
    for _ in range(3):
        async with attempts.attempt(["client:demo", "user:ada"], "10.0.0.1") as attempt:
            await attempt.fail("user:ada", "invalid_grant")
    await succeed(attempts, name="client:demo")
    with pytest.raises(TooManyAttemptsError):
        async with attempts.attempt(["client:demo", "user:ada"], "10.0.0.1"):
            pass


async def guess(attempts: LoginThrottle) -> None:
    async with attempts.attempt(["demo"], "10.0.0.1") as attempt:
        await asyncio.sleep(0)
        await attempt.fail("demo", "invalid_client")


async def guess_at_once(attempts: LoginThrottle) -> int:
    outcomes = await asyncio.gather(*(guess(attempts) for _ in range(200)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {type(None), TooManyAttemptsError}
    return outcomes.count(None)


async def test_guessing_at_once_gives_no_more_guesses(
    attempts: LoginThrottle, clock: Clock
) -> None:
    assert await guess_at_once(attempts) == OPTIONS.failures
    for _ in range(3):
        clock.now_s += OPTIONS.failure_window_s / OPTIONS.failures
        assert await guess_at_once(attempts) == 1


async def guesses_at_once(attempts: LoginThrottle) -> int:
    """How many of fifty guesses are let through, which may be none."""
    outcomes = await asyncio.gather(*(guess(attempts) for _ in range(50)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} <= {type(None), TooManyAttemptsError}
    return outcomes.count(None)


async def test_guessing_on_many_workers_at_once_gives_no_more_guesses(
    clock: Clock, audit_log: AuditLog
) -> None:
    store = MemoryStore(clock)
    workers = [LoginThrottle(store, audit_log, OPTIONS) for _ in range(4)]
    assert sum(await asyncio.gather(*map(guesses_at_once, workers))) == OPTIONS.failures


async def test_workers_of_one_machine_share_their_guesses(
    tmp_path: Path, audit_log: AuditLog
) -> None:
    stores = [SqliteStore(tmp_path / "gateway.db") for _ in range(3)]
    workers = [LoginThrottle(store, audit_log, OPTIONS) for store in stores]
    assert sum(await asyncio.gather(*map(guesses_at_once, workers))) == OPTIONS.failures
    for store in stores:
        await store.close()


async def test_those_that_are_right_on_many_workers_wait_and_are_all_served(
    clock: Clock, audit_log: AuditLog
) -> None:
    store = MemoryStore(clock)
    workers = [LoginThrottle(store, audit_log, OPTIONS) for _ in range(4)]
    at_once = most_at_once = 0

    async def succeed_slowly(attempts: LoginThrottle) -> None:
        nonlocal at_once, most_at_once
        async with attempts.attempt(["demo"], "10.0.0.1"):
            at_once += 1
            most_at_once = max(at_once, most_at_once)
            await asyncio.sleep(0.01)
            at_once -= 1

    await asyncio.gather(*(succeed_slowly(one) for one in workers * 5))
    assert most_at_once == OPTIONS.failures
    await asyncio.gather(*(succeed(one) for one in workers))


async def test_a_client_that_leaves_is_not_counted(attempts: LoginThrottle) -> None:
    for _ in range(10):
        leaving = asyncio.create_task(asyncio.wait_for(_forever(attempts), 0.001))
        with pytest.raises(TimeoutError):
            await leaving
    await succeed(attempts)


async def _forever(attempts: LoginThrottle) -> None:
    async with attempts.attempt(["demo"], "10.0.0.1"):
        await asyncio.Event().wait()


async def test_what_a_killed_worker_had_under_way_is_forgotten(
    attempts: LoginThrottle, clock: Clock
) -> None:
    lost = [attempts.attempt(["demo"], "10.0.0.1") for _ in range(3)]
    for one in lost:
        await one.__aenter__()
    clock.now_s += OPTIONS.failure_window_s
    await succeed(attempts)
    for one in lost:
        await one.__aexit__(None, None, None)


async def test_those_that_are_right_at_once_wait_for_each_other_and_are_all_served(
    attempts: LoginThrottle,
) -> None:
    at_once = most_at_once = 0

    async def succeed_slowly() -> None:
        nonlocal at_once, most_at_once
        async with attempts.attempt(["demo", "user"], "10.0.0.1"):
            at_once += 1
            most_at_once = max(at_once, most_at_once)
            await asyncio.sleep(0)
            at_once -= 1

    await asyncio.gather(*(succeed_slowly() for _ in range(50)))
    assert most_at_once == OPTIONS.failures


async def test_one_that_leaves_while_it_waits_gives_its_turn_back(attempts: LoginThrottle) -> None:
    async with (
        attempts.attempt(["demo"], "p"),
        attempts.attempt(["demo"], "p"),
        attempts.attempt(["demo"], "p"),
    ):
        waiting = asyncio.create_task(succeed(attempts, peer="p"))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
    await asyncio.gather(*(succeed(attempts, peer="p") for _ in range(10)))


async def test_every_failure_is_written_down(attempts: LoginThrottle, audit_log: AuditLog) -> None:
    await fail(attempts, name='"}\n{"event": "token.issued')
    assert audit_log.events == [
        (
            "login.failed",
            {
                "principal": '"}\n{"event": "token.issued',
                "peer": "10.0.0.1",
                "kind": "login",
                "reason": "invalid_client",
            },
        )
    ]


@pytest.mark.parametrize(
    "peers",
    [
        pytest.param([f"2001:db8:1:2::{n:x}" for n in range(1, 40)], id="of one /64"),
        pytest.param(["10.0.0.1", "::ffff:10.0.0.1"] * 20, id="mapped into IPv6 or not"),
    ],
)
async def test_whoever_has_many_addresses_has_no_more_guesses(
    attempts: LoginThrottle, peers: list[str]
) -> None:
    for peer in peers[:3]:
        await fail(attempts, peer=peer)
    with pytest.raises(TooManyAttemptsError):
        await succeed(attempts, peer=peers[3])
    for number, peer in enumerate(peers[4:31]):
        await fail(attempts, name=f"other {number}", peer=peer)
    with pytest.raises(TooManyAttemptsError):
        await succeed(attempts, name="yet another", peer=peers[31])
