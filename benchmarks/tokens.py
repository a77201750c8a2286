"""Measures tokens: `python -m benchmarks.tokens [--tokens 1000000] [--store URL]`.

Hot: a token that was used within the last half second. Cold: one that only the store has. Both with
as many tokens in the store as --tokens says, by default a SQLite file in a temporary folder.
"""

import argparse
import asyncio
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from random import Random
from statistics import quantiles
from tempfile import TemporaryDirectory

import uvloop
from multidict import CIMultiDict, CIMultiDictProxy
from rich.console import Console
from rich.table import Table

from benchmarks.sample import HERE
from gateway.audit import NO_AUDIT
from gateway.auth.tokens.authenticator import TokenAuthenticator
from gateway.auth.tokens.tokens import Grant, Tokens
from gateway.call import Call, Handler, Interceptor, Reply, chain
from gateway.config.auth import IdentityOptions
from gateway.interceptors.authenticate import Authenticate
from gateway.interceptors.identify import Identify
from gateway.schema.catalog import build_schema
from gateway.schema.sources import DescriptorFiles
from gateway.stores.base import Store, TokenKind, TokenRecord
from gateway.stores.opening import open_store

_BATCH = 5_000
_COLD = 5_000
_ISSUED_FOR_S = 3.0
_HOT_ROUNDS, _HOT_CALLS = 15, 10_000
_GRANT = Grant("users/ada", "demo", frozenset({"read", "write"}), 3600.0, {"tenant": "t1"}, 86400.0)

Row = tuple[str, str]


async def run(url: str, count: int) -> list[Row]:
    """The results, one per row."""
    async with open_store(url) as store:
        started_s = time.perf_counter()
        await _fill(store, count)
        rows = [("tokens in the store", f"{count:,}")]
        rows.append(("filled in", f"{time.perf_counter() - started_s:.1f} s"))
        rows += await _cold(store, count)
        rows += await _issue(store)
        rows += await _hot(Tokens(store))
        return rows


def _digest(number: int) -> bytes:
    return sha256(str(number).encode()).digest()


async def _fill(store: Store, count: int) -> None:
    now_s = time.time()
    for start in range(0, count, _BATCH):
        await store.add_tokens(
            [
                TokenRecord(
                    _digest(number),
                    TokenKind.ACCESS,
                    f"family{number}",
                    f"users/{number % 50_000}",
                    "demo",
                    _GRANT.scopes,
                    now_s,
                    now_s + 86400,
                    _GRANT.claims,
                )
                for number in range(start, min(start + _BATCH, count))
            ]
        )


async def _cold(store: Store, count: int) -> list[Row]:
    random = Random(7)  # the same tokens in every run
    took_ms = []
    for _ in range(_COLD):
        digest = _digest(random.randrange(count))
        started_s = time.perf_counter()
        found = await store.find_token(digest)
        took_ms.append((time.perf_counter() - started_s) * 1e3)
        assert found is not None
    cuts = quantiles(took_ms, n=100)
    return [("cold, median", f"{cuts[49]:.3f} ms"), ("cold, 99th percentile", f"{cuts[98]:.3f} ms")]


async def _issue(store: Store) -> list[Row]:
    """Pairs of tokens per second: one after another, and with sixteen clients at once."""
    tokens = Tokens(store)
    rows = []
    for clients in (1, 16):
        until_s = time.perf_counter() + _ISSUED_FOR_S
        issued = await asyncio.gather(*(_issue_until(tokens, until_s) for _ in range(clients)))
        rows.append((f"issued by {clients} at once", f"{sum(issued) / _ISSUED_FOR_S:,.0f} /s"))
    return rows


async def _issue_until(tokens: Tokens, until_s: float) -> int:
    issued = 0
    while time.perf_counter() < until_s:
        await tokens.issue(_GRANT)
        issued += 1
    return issued


async def _hot(tokens: Tokens) -> list[Row]:
    """The cost of the guards for a call with a cached token."""
    issued = await tokens.issue(_GRANT)
    headers = CIMultiDictProxy(
        CIMultiDict(
            {
                "Host": "localhost",
                "User-Agent": "benchmark",
                "Accept": "*/*",
                "Authorization": f"Bearer {issued.access_token}",
            }
        )
    )
    files = DescriptorFiles()
    files.add_set(HERE.parent / "gen" / "descriptors.binpb")
    method = next(iter(build_schema(files.complete()).methods.values()))
    reply = Reply()

    async def answer(_: Call) -> Reply:
        return reply

    authenticate = Authenticate([TokenAuthenticator(tokens)], NO_AUDIT)
    identify = Identify(IdentityOptions())
    call = Call(method, headers=headers)
    chains: dict[str, list[Interceptor]] = {
        "open": [],
        "authenticated": [authenticate],
        "identified": [authenticate, identify],
    }
    costs_us = dict.fromkeys(chains, math.inf)
    for name, guards in [*chains.items()] * _HOT_ROUNDS:  # in turns: other load affects all
        costs_us[name] = min(costs_us[name], await _cost_us(chain(guards, answer), call))
    authenticated_us = costs_us["authenticated"] - costs_us["open"]
    identified_us = costs_us["identified"] - costs_us["authenticated"]
    return [
        ("hot: to authenticate", f"{authenticated_us:.2f} µs"),
        ("hot: to identify to the back end", f"{identified_us:.2f} µs"),
    ]


async def _cost_us(handler: Handler, call: Call) -> float:
    """The CPU time of one call."""
    started_s = time.process_time()
    for _ in range(_HOT_CALLS):
        call.metadata = []
        await handler(call)
    return (time.process_time() - started_s) / _HOT_CALLS * 1e6


@contextmanager
def _store_url(given: str | None) -> Iterator[str]:
    if given is not None:
        yield given
        return
    with TemporaryDirectory(prefix="gateway-tokens-") as folder:
        yield f"sqlite:///{folder}/tokens.db"


def main() -> int:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tokens", type=int, default=1_000_000, help="tokens in the store")
    parser.add_argument("--store", help="a store's URL; tokens are added and not removed")
    options = parser.parse_args()
    table = Table("what", "measured", title="Tokens", box=None)
    with _store_url(options.store) as url:
        for row in uvloop.run(run(url, options.tokens)):
            table.add_row(*row)
    Console().print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
