"""The division of calls: shares, callers that stay, and conditions on the request."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import pairwise
from random import Random
from typing import Any

import pytest

from gateway.call import Call, Handler, Principal, Reply
from gateway.config.splits import Split
from gateway.upstream.splitting import split_calls
from tests.support.grpc_backend import method

SEED = 7
MOST_WEIGHT = 1_000_000


def answers(name: str) -> Handler:
    async def answer(_call: Call) -> Reply:
        return Reply(name.encode())

    return answer


def split(shares: Mapping[str, int], **settings: Any) -> Split:
    to = [{"upstream": name, "weight": weight} for name, weight in shares.items()]
    return Split.model_validate({"name": "canary", "to": to} | settings)


def handler(*splits: Split) -> Handler:
    return split_calls(splits, answers, answers("owner"), Random(SEED))


def call(headers: Mapping[str, str] | None = None, principal: str = "") -> Call:
    made = Call(method("Echo"), message=b"", headers=headers or {})
    if principal:
        made.principal = Principal(principal)
    return made


def arms(handle: Handler, calls: Sequence[Call]) -> list[str]:
    async def all_of_them() -> list[str]:
        return [(await handle(one)).message.decode() for one in calls]

    return asyncio.run(all_of_them())


@pytest.mark.parametrize("order", [("canary", "main"), ("main", "canary")])
def test_who_is_in_a_small_canary_stays_in_a_larger_one(order: tuple[str, str]) -> None:
    calls = [call(principal=f"user-{number}") for number in range(10_000)]
    canaries: list[set[int]] = []
    for percent in (0, 1, 5, 10, 20, 50, 99, 100):
        shares = {"canary": percent, "main": 100 - percent}
        one = split({name: shares[name] for name in order}, sticky={"by": "principal"})
        found = arms(handler(one), calls)
        canaries.append({number for number, arm in enumerate(found) if arm == "canary"})
        assert abs(len(canaries[-1]) / 10_000 - percent / 100) < 0.01
    for smaller, larger in pairwise(canaries):
        assert smaller <= larger
    assert (len(canaries[0]), len(canaries[-1])) == (0, 10_000)


def test_without_a_key_each_call_is_decided_by_chance() -> None:
    for one in (split({"a": 3, "b": 1}), split({"a": 3, "b": 1}, sticky={"by": "principal"})):
        found = Counter(arms(handler(one), [call()] * 10_000))
        assert abs(found["a"] / 10_000 - 0.75) < 0.02


def test_another_split_puts_other_callers_into_its_small_share() -> None:
    calls = [call(principal=f"user-{number}") for number in range(2000)]
    shares = {"canary": 1, "main": 1}
    first, second = (
        arms(handler(split(shares, name=name, sticky={"by": "principal"})), calls)
        for name in ("one", "two")
    )
    same = sum(a == b for a, b in zip(first, second, strict=True))
    assert abs(same / 2000 - 0.5) < 0.06


def test_a_weight_of_nothing_gets_nothing() -> None:
    one = split({"a": 0, "b": MOST_WEIGHT, "c": 0}, sticky={"by": "principal"})
    calls = [call(principal=f"user-{number}") for number in range(1000)]
    assert set(arms(handler(one), calls)) == {"b"}


@pytest.mark.parametrize(
    ("match", "headers", "arm"),
    [
        ([{"header": "x-canary"}], {"x-canary": "yes"}, "canary"),
        ([{"header": "x-canary"}], {}, "owner"),
        ([{"header": "x-canary", "value": "yes"}], {"x-canary": "yes"}, "canary"),
        ([{"header": "x-canary", "value": "yes"}], {"x-canary": "yess"}, "owner"),
        ([{"header": "x-tenant", "prefix": "beta-"}], {"x-tenant": "beta-1"}, "canary"),
        ([{"header": "x-tenant", "prefix": "beta-"}], {"x-tenant": "alpha"}, "owner"),
        ([{"cookie": "arm", "value": "b"}], {"cookie": "a=1; arm=b"}, "canary"),
        ([{"cookie": "arm", "value": "b"}], {"cookie": "arm=c"}, "owner"),
        ([{"header": "x-a"}, {"header": "x-b"}], {"x-a": "1", "x-b": "1"}, "canary"),
        ([{"header": "x-a"}, {"header": "x-b"}], {"x-a": "1"}, "owner"),
    ],
)
def test_conditions_on_the_request(
    match: list[dict[str, str]], headers: dict[str, str], arm: str
) -> None:
    assert arms(handler(split({"canary": 1}, match=match)), [call(headers)]) == [arm]


@pytest.mark.parametrize(
    ("match", "name", "arm"),
    [
        ({"principal": True}, "ada", "canary"),
        ({"principal": True}, "", "owner"),
        ({"principal": True, "prefix": "test-"}, "test-7", "canary"),
        ({"principal": True, "value": "ada"}, "adam", "owner"),
        ({"claim": "team", "value": "blue"}, "ada", "canary"),
        ({"claim": "team", "value": "red"}, "ada", "owner"),
        ({"claim": "other"}, "ada", "owner"),
        ({"claim": "team"}, "", "owner"),
    ],
)
def test_conditions_on_the_caller(match: dict[str, Any], name: str, arm: str) -> None:
    headers = {"principal": "ada", "team": "blue", "claim": "blue"}  # these decide nothing
    one = call(headers)
    if name:
        one.principal = Principal(name, claims={"team": "blue"})
    assert arms(handler(split({"canary": 1}, match=[match])), [one]) == [arm]


@pytest.mark.parametrize(
    ("match", "arm"),
    [
        ({"scope": "testers"}, "canary"),
        ({"scope": "tester"}, "owner"),
        ({"network": "10.1.0.0/16"}, "canary"),
        ({"network": "10.1.2.3"}, "canary"),
        ({"network": "10.2.0.0/16"}, "owner"),
    ],
)
def test_conditions_that_clients_cannot_choose(match: dict[str, Any], arm: str) -> None:
    handle = handler(split({"canary": 1}, match=[match]))
    headers = {"scope": "tester", "x-forwarded-for": "10.2.0.1"}  # these decide nothing
    one = call(headers)
    one.principal, one.peer = Principal("ada", frozenset({"testers"})), "10.1.2.3"
    assert arms(handle, [one]) == [arm]
    assert arms(handle, [call(headers)]) == ["owner"]


def test_the_first_split_that_fits_decides() -> None:
    testers = split({"test": 1}, name="testers", match=[{"header": "x-test"}])
    handle = handler(testers, split({"main": 1}))
    assert arms(handle, [call({"x-test": "1"}), call()]) == ["test", "main"]
