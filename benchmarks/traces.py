"""Measures the cost of traces: the CPU of a request without a socket and without a back end.

`python -m benchmarks.traces [ROUNDS]`. Each figure is the best of the rounds, because others use
the machine too. It contains the work of the exporter's thread, but not that of its socket: the
collector takes everything at once. Parts of it are shown alone.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

from rich.console import Console
from rich.table import Table

from gateway.call import Call, Reply, chain
from gateway.config.model import Config
from gateway.config.tracing import TracingOptions
from gateway.exchange.exchange import Exchange
from gateway.exchange.site import Site
from gateway.http.messages import Request
from gateway.interceptors.decode import decode
from gateway.telemetry.record import Record
from gateway.telemetry.traces.collector import Outcome
from gateway.telemetry.traces.exporter import SpanExporter
from gateway.telemetry.traces.spans import SpanBuilder
from gateway.telemetry.traces.starting import TraceStarter
from gateway.trace_context import Trace
from gateway.transcoding.transcoder import build_transcoder
from gateway.upstream.measure import Measure
from tests.support.front_end import schema
from tests.support.site import PEER, Records, make_request

_REQUESTS = 2_000
_PARENT = f"00-{'a1' * 16}-{'b2' * 8}-01"


class _Taker:
    """A collector that takes everything."""

    def send(self, _body: bytes) -> Outcome:
        return Outcome()

    def close(self) -> None:
        """Does nothing."""


class _Seen:
    """An observer that does nothing: without one, no record would be made."""

    def ended(self, record: Record) -> None:
        """Does nothing."""


async def _reply(call: Call) -> Reply:
    if call.unread_metadata is None:
        len(call.metadata)
    return Reply(b"")


def _site(ratio: float | None) -> tuple[Site, SpanExporter | None]:
    options = TracingOptions(otlp="http://localhost", ratio=ratio or 0)
    exporter = None
    if ratio is not None:
        exporter = SpanExporter(options, _Taker(), scheme="http", version="1")
    measured = Measure(None, upstream=None if exporter is None else "main")
    config = Config.model_validate({})
    site = Site(
        config,
        build_transcoder(config, schema()),
        dict.fromkeys(schema().methods.values(), chain([decode, measured], _reply)),
        observers=[_Seen() if exporter is None else exporter],
        starter=None if exporter is None else TraceStarter(options),
    )
    return site, exporter


async def _answered(site: Site) -> None:
    exchange, fields = Exchange(site), make_request(Accept="*/*", User_Agent="bench").fields
    for _ in range(_REQUESTS):
        await exchange.answer(Request("GET", "/v1/items/a", fields, PEER))


def whole_us(ratio: float | None) -> float:
    """The CPU of one request, with all that its spans cost later."""
    site, exporter = _site(ratio)
    before_s = time.process_time()
    asyncio.run(_answered(site))
    if exporter is not None:
        exporter.close()
        assert exporter.lost() == 0
    return (time.process_time() - before_s) / _REQUESTS * 1e6


def part_us(work: Callable[[], object]) -> float:
    """The CPU of one part."""
    before_s = time.process_time()
    for _ in range(_REQUESTS):
        work()
    return (time.process_time() - before_s) / _REQUESTS * 1e6


def parts() -> dict[str, Callable[[], object]]:
    """The parts of the work for one request."""
    starter = TraceStarter(TracingOptions(ratio=1))
    found = Records()
    site, _ = _site(None)
    handler = chain([decode, Measure(None, upstream="main")], _reply)
    recorded = Site(
        Config.model_validate({}),
        site.transcoder,
        dict.fromkeys(schema().methods.values(), handler),
        observers=[found],
        starter=starter,
    )
    ask: Awaitable[object] = Exchange(recorded).answer(make_request(User_Agent="bench"))
    asyncio.run(_wait(ask))
    (record,) = found
    trace, builder = record.trace, SpanBuilder("http")
    assert trace is not None
    place = Trace()
    return {
        "a new trace": lambda: starter.begin(place),
        "a trace continued": lambda: starter.start(place, _PARENT, "", is_trusted=False),
        "two spans built": lambda: builder.encode(record, trace),
    }


async def _wait(work: Awaitable[object]) -> None:
    await work


def main(rounds: int) -> None:
    table = Table("work", "CPU", title="Traces", box=None)
    whole: dict[str, float | None] = {"off": None, "0 %": 0.0, "1 %": 0.01, "100 %": 1.0}
    best = dict.fromkeys(whole, float("inf"))
    for _ in range(rounds):
        for name, ratio in whole.items():  # in turns, so that the load of the machine hits all
            best[name] = min(best[name], whole_us(ratio))
    for name, found_us in best.items():
        table.add_row(f"a request, traces {name}", f"{found_us:.1f} µs")
    for name, work in parts().items():
        table.add_row(name, f"{min(part_us(work) for _ in range(rounds)):.2f} µs")
    Console().print(table)


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 10)
