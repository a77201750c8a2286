"""When a name is resolved, which answers count, and which addresses are endpoints."""

import asyncio
import socket
from collections.abc import Sequence
from contextlib import suppress
from random import Random
from typing import Any

import pytest

from gateway.config.upstreams import DnsOptions, Family
from gateway.upstream.endpoint import Endpoint
from gateway.upstream.resolving import Refresh, Schedule, SystemResolver
from tests.support.polling import until

V4 = ("10.0.0.1", "10.0.0.2")
V6 = ("::1", "::2")


def schedule(**options: Any) -> Schedule:
    return Schedule(DnsOptions(**options), Random(1))


def test_an_answer_is_asked_for_again_after_the_interval_and_up_to_a_tenth_more() -> None:
    pauses = [schedule().after_answer() for _ in range(100)]
    assert all(5 <= pause <= 5.5 for pause in pauses)


def test_failures_are_repeated_slower_and_slower_until_an_answer() -> None:
    times = schedule()
    pauses = [times.after_failure() for _ in range(20)]
    assert pauses[0] == pytest.approx(1, rel=0.2)
    assert pauses[2] == pytest.approx(1.6**2, rel=0.2)
    assert max(pauses) <= 30 * 1.2
    times.after_answer()
    assert times.after_failure() == pytest.approx(1, rel=0.2)


def test_an_empty_answer_counts_at_first_and_after_its_grace() -> None:
    times = schedule(empty_grace_s=30)
    assert times.empty_counts(100)
    times.after_answer()
    assert [times.empty_counts(now) for now in (200, 229, 230)] == [False, False, True]
    times.after_answer()
    assert not times.empty_counts(300)


@pytest.mark.parametrize(
    ("v6", "v4", "family", "expected"),
    [
        pytest.param((), V4, Family.AUTO, [("10.0.0.1:5",), ("10.0.0.2:5",)], id="each address"),
        pytest.param((), (V4[0], V4[0]), Family.AUTO, [("10.0.0.1:5",)], id="each once"),
        pytest.param(V6[:1], V4[:1], Family.AUTO, [("[::1]:5", "10.0.0.1:5")], id="one server"),
        pytest.param(V6, V4, Family.AUTO, [("[::1]:5",), ("[::2]:5",)], id="v6 with a route"),
        pytest.param(V6, V4, Family.V4, [("10.0.0.1:5",), ("10.0.0.2:5",)], id="v4 only"),
        pytest.param(V6, V4[:1], Family.V6, [("[::1]:5",), ("[::2]:5",)], id="v6 only"),
        pytest.param(V6[:1], V4[:1], Family.BOTH, [("[::1]:5",), ("10.0.0.1:5",)], id="both"),
        pytest.param((), V4, Family.V6, [], id="none of the family"),
    ],
)
async def test_addresses_become_endpoints(
    monkeypatch: pytest.MonkeyPatch,
    v6: Sequence[str],
    v4: Sequence[str],
    family: Family,
    expected: list[tuple[str, ...]],
) -> None:
    async def getaddrinfo(host: str, port: int, **_: Any) -> list[Any]:
        found = [(socket.AF_INET6, (address, port, 0, 0)) for address in v6]
        found += [(socket.AF_INET, (address, port)) for address in v4]  # type: ignore[misc]
        return [(kind, socket.SOCK_STREAM, 6, "", address) for kind, address in found]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    monkeypatch.setattr("gateway.upstream.resolving._has_route", lambda _: True)
    endpoints = await SystemResolver("library.test", 5, family).resolve()
    assert [one.addresses for one in endpoints] == expected


@pytest.mark.parametrize(
    ("error", "endpoints"),
    [
        (socket.gaierror(socket.EAI_NONAME, "Name or service not known"), []),
        (UnicodeError("label too long"), []),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure"), None),
    ],
)
async def test_a_name_that_does_not_exist_is_no_failed_lookup(
    monkeypatch: pytest.MonkeyPatch, error: Exception, endpoints: list[Endpoint] | None
) -> None:
    async def getaddrinfo(*_: object, **__: object) -> list[Any]:
        raise error

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", getaddrinfo)
    resolver = SystemResolver("library.test", 5, Family.AUTO)
    if endpoints is None:
        with pytest.raises(OSError, match="Temporary"):
            await resolver.resolve()
    else:
        assert await resolver.resolve() == endpoints


class Scripted:
    """A resolver that gives one answer after the other, and then repeats the last."""

    def __init__(self, *answers: Sequence[Endpoint] | Exception) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(self) -> Sequence[Endpoint]:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, Exception):
            raise answer
        return answer


ONE, TWO = [Endpoint(("10.0.0.1:1",))], [Endpoint(("10.0.0.2:1",))]


async def test_failed_lookups_of_any_kind_hand_on_nothing_and_do_not_end_the_asking(
    caplog: pytest.LogCaptureFixture,
) -> None:
    resolver = Scripted(ONE, OSError(5, "I/O error"), RuntimeError("a fault"), [], TWO)
    answers: list[Sequence[Endpoint]] = []
    reasons: list[str] = []
    options = DnsOptions(refresh_s=0.01, min_interval_s=0.01)
    refresh = Refresh(resolver, options, answers.append, reasons.append, Random(1))
    await refresh.first()
    for asked in range(2, 6):
        refresh.ask_soon()
        await until(lambda asked=asked: resolver.asked >= asked)  # type: ignore[misc]
    await until(lambda: len(answers) > 1)
    await refresh.close()
    assert answers[:2] == [ONE, TWO]
    assert reasons == ["I/O error", "internal error of the resolver", "it has no addresses"]
    assert "RuntimeError: a fault" in caplog.text


async def test_asking_soon_keeps_to_the_shortest_interval() -> None:
    resolver = Scripted(ONE)
    options = DnsOptions(refresh_s=60, min_interval_s=30)
    refresh = Refresh(resolver, options, lambda _: None, lambda _: None, Random(1))
    await refresh.first()
    refresh.ask_soon()
    await asyncio.sleep(0.05)
    await refresh.close()
    assert resolver.asked == 1


async def test_a_resolver_that_goes_on_when_cancelled_is_asked_no_more() -> None:
    asked = asyncio.Event()

    class Stubborn:
        async def resolve(self) -> Sequence[Endpoint]:
            asked.set()
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(60)
            return ONE

    answers: list[Sequence[Endpoint]] = []
    options = DnsOptions(refresh_s=0.01, min_interval_s=0.01)
    refresh = Refresh(Stubborn(), options, answers.append, lambda _: None, Random(1))
    assert not await refresh.first(0.01)
    await asked.wait()
    async with asyncio.timeout(10):
        await refresh.close()
    assert not answers


async def test_without_calls_a_name_is_resolved_seldom_and_with_them_soon() -> None:
    loop = asyncio.get_running_loop()
    resolver, looks, has_calls = Scripted(ONE), 0, False
    options = DnsOptions(refresh_s=0.01, min_interval_s=0.001, quiet_refresh_s=3600)
    refresh = Refresh(resolver, options, lambda _: None, lambda _: None, Random(1))

    def called_s() -> float:
        nonlocal looks
        looks += 1
        return loop.time() - (0 if has_calls else 7200)

    refresh.called_s = called_s
    await refresh.first()
    await until(lambda: looks > 5)
    assert resolver.asked == 1
    has_calls = True
    await until(lambda: resolver.asked > 3)
    await refresh.close()


async def test_a_quiet_name_is_resolved_after_its_time_and_when_that_is_asked_for() -> None:
    resolver = Scripted(ONE)
    options = DnsOptions(refresh_s=0.01, min_interval_s=0.001, quiet_refresh_s=0.02)
    refresh = Refresh(resolver, options, lambda _: None, lambda _: None, Random(1))
    refresh.called_s = lambda: 0.0
    await refresh.first()
    await until(lambda: resolver.asked > 2)
    await refresh.close()
    resolver = Scripted(ONE)
    options = DnsOptions(refresh_s=0.01, min_interval_s=0.001, quiet_refresh_s=3600)
    refresh = Refresh(resolver, options, lambda _: None, lambda _: None, Random(1))
    refresh.called_s = lambda: 0.0
    await refresh.first()
    refresh.ask_soon()
    await until(lambda: resolver.asked == 2)
    await refresh.close()
