"""Measures the cost of transcoding without I/O: match, decode, encode, and all three."""

from collections.abc import Callable, Sequence
from functools import partial
from statistics import median
from time import process_time

from benchmarks.sample import ITEM, item_of_1_kb, message, schema
from gateway.config.model import Config
from gateway.transcoding.transcoder import build_transcoder

_ROUNDS = 7
_SECONDS_A_ROUND = 0.15

Row = tuple[str, str, float]


def measure(work: Callable[[], object]) -> float:
    """CPU microseconds of one call, the median of several rounds."""
    return measure_all([work])[0]


def measure_all(works: Sequence[Callable[[], object]]) -> list[float]:
    """Like `measure` for each of several, in turns, so that other load affects all of them."""
    counts = [_count(work) for work in works]
    rounds = [list(map(_round, works, counts)) for _ in range(_ROUNDS)]
    return [median(costs) for costs in zip(*rounds, strict=True)]


def _count(work: Callable[[], object]) -> int:
    """The number of calls that make a round long enough."""
    work()
    count, spent_s = 1, 0.0
    while spent_s < _SECONDS_A_ROUND / 4:
        count *= 2
        spent_s = _round(work, count) * count / 1e6
    return max(1, int(count * _SECONDS_A_ROUND / spent_s))


def _round(work: Callable[[], object], count: int) -> float:
    started = process_time()
    for _ in range(count):
        work()
    return (process_time() - started) / count * 1e6


def run() -> list[Row]:
    """The cost of each part for each kind of request, in microseconds."""
    transcoder = build_transcoder(Config(), schema())
    item = message("Item", ITEM)
    hundred = message("ListItemsResponse", {"items": [ITEM] * 100})
    kinds = [
        ("small GET", "GET", "/v1/shelves/7/items/42", "", b"", item),
        ("POST 1 kB", "POST", "/v1/shelves/7/items", "", item_of_1_kb(), item),
        ("list of 100", "GET", "/v1/items", "count=100", b"", hundred),
    ]
    rows: list[Row] = []
    for name, http_method, path, query, body, reply in kinds:
        match = transcoder.match(http_method, path)

        def whole(
            http_method: str = http_method,
            path: str = path,
            query: str = query,
            body: bytes = body,
            reply: bytes = reply,
        ) -> None:
            found = transcoder.match(http_method, path)
            transcoder.decode(found, query, None, body)
            transcoder.encode(found, reply)

        parts: dict[str, Callable[[], object]] = {
            "match": partial(transcoder.match, http_method, path),
            "decode": partial(transcoder.decode, match, query, None, body),
            "encode": partial(transcoder.encode, match, reply),
            "whole path": whole,
        }
        costs = measure_all(list(parts.values()))
        rows += [(name, part, cost) for part, cost in zip(parts, costs, strict=True)]
    return rows
