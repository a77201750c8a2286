"""Calls before rate limits, and a store that is not in this process."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from gateway.call import Call, Handler, Principal, Reply, chain
from gateway.config.policy import CountBy, LimitAlgorithm, RateLimit
from gateway.interceptors.rate_limits.limits import RateLimits
from gateway.policy.options import MethodPolicy
from gateway.status import Code, StatusError
from gateway.stores.base import Demand, Limit, StoreUnavailableError, Taken
from gateway.stores.memory import MemoryStore
from tests.support.front_end import schema
from tests.support.recording import Clock

METHOD = schema().methods["front.v1.Front.GetItem"]
OTHER = schema().methods["front.v1.Front.CreateItem"]
ADA = Principal("users/ada", kind="token", credential="t1")
OK = Reply(b"ok")


class Remote:
    """A store that is not in this process: it may be down, or slow."""

    def __init__(self, clock: Clock) -> None:
        self._memory = MemoryStore(clock)
        self.asked: list[Sequence[Demand]] = []
        self.fails = False
        self.delay_s = 0.0

    async def take(self, key: str, limit: Limit, cost: int = 1) -> Taken:
        return (await self.take_all([(key, limit, cost)]))[0]

    async def take_all(self, demands: Sequence[Demand]) -> Sequence[Taken]:
        self.asked.append(demands)
        await asyncio.sleep(self.delay_s)
        if self.fails:
            raise StoreUnavailableError("redis at somewhere: ConnectionError")
        return self._memory.take_all_now(demands)

    async def forget(self, keys: Sequence[str]) -> None:
        await self._memory.forget(keys)

    async def forget_all(self, prefix: str) -> None:
        await self._memory.forget_all(prefix)


def rate_limit(
    limit: int,
    window_s: float = 1.0,
    by: CountBy = CountBy.PRINCIPAL,
    header: str = "",
    *,
    algorithm: LimitAlgorithm = LimitAlgorithm.TOKEN_BUCKET,
    name: str = "",
) -> RateLimit:
    return RateLimit(
        limit=limit, window_s=window_s, by=by, header=header, algorithm=algorithm, name=name
    )


def call(
    principal: Principal | None = None,
    *,
    peer: str = "10.0.0.1",
    headers: Mapping[str, str] | None = None,
) -> Call:
    made = Call(METHOD, message=b"", headers=headers, peer=peer)
    made.principal = principal
    return made


def of_tenant(name: str) -> Call:
    return call(headers={"x-tenant": name})


async def answer(_: Call) -> Reply:
    return OK


def handler(limits: RateLimits, *rates: RateLimit, method: Any = METHOD, cost: int = 1) -> Handler:
    guards = limits.guards(method, MethodPolicy(rate_limits=rates, cost=cost))
    return chain(guards, answer)


async def passes(handle: Handler, one: Call) -> bool:
    try:
        return await handle(one) is OK
    except StatusError as error:
        if error.code is not Code.RESOURCE_EXHAUSTED:
            raise
        return False


async def refusal(handle: Handler, one: Call) -> StatusError:
    with pytest.raises(StatusError) as refused:
        await handle(one)
    return refused.value


def read_details(error: StatusError, *kinds: Any) -> list[Any]:
    for detail, kind in zip(error.details, kinds, strict=False):
        assert detail.Unpack(kind), kind
    return list(kinds)
