"""The memory that stored replies take, beside what is counted of it."""

import gc
import tracemalloc
from collections.abc import Callable

import pytest

from gateway.cache.entries import Entry
from gateway.cache.freshness import Times
from gateway.cache.memory import MemoryCache
from gateway.call import Metadata, Reply
from gateway.config.cache import CacheOptions
from gateway.http.messages import Response, ResponseForm
from gateway.listeners.http1.response_bytes import plain_response

MOST_BYTES = 1024 * 1024
# Dicts grow in steps, so that some of their places are free.
TOLERANCE = 1.1


def entry(number: int, metadata: Metadata, owner: str = "", tags: int = 0) -> Entry:
    start_s = float(number)
    return Entry(
        number.to_bytes(20, "big"),
        b"%020d" % number,
        [*metadata, ("date", f"Sun, 06 Nov 1994 08:49:{number % 60:02}")],
        [],
        Times(start_s, start_s + 1, start_s + 2, start_s + 3),
        owner,
        [f"/v1/items/{number:08}"],
        tags=frozenset(f"tag{number}:{tag}" for tag in range(tags)),
    )


def small(memory: MemoryCache, number: int) -> None:
    memory.put(entry(number, []))


def of_many_callers(memory: MemoryCache, number: int) -> None:
    memory.put(entry(number, [], f"caller{number}"))


def of_one_caller(memory: MemoryCache, number: int) -> None:
    memory.put(entry(number, [], "caller"))


def with_metadata(memory: MemoryCache, number: int) -> None:
    memory.put(entry(number, [(f"x-{one}-{number}", f"{number}") for one in range(20)]))


def with_tags(memory: MemoryCache, number: int) -> None:
    memory.put(entry(number, [], tags=10))


def with_lines(memory: MemoryCache, number: int) -> None:
    stored = entry(number, [])
    memory.put(stored)
    for one in range(4):
        line = "GET", f"/v1/items/{number:08}", f"size={number}{one}"
        memory.note(stored, ("/shop.v1.Shop/GetItem", line, "", ()), None)


def with_paths(memory: MemoryCache, number: int) -> None:
    stored = entry(number, [])
    memory.put(stored)
    for one in range(7):
        memory.add_path(stored, f"/v1/items/{number:08}/{one}")


def with_responses(memory: MemoryCache, number: int) -> None:
    stored = entry(number, [(f"x-{one}", f"{number}") for one in range(3)])
    memory.put(stored)
    for _ in range(2):
        forms = stored.forms
        if forms is None:
            return
        headers = [(f"X-{one}", f"{number}") for one in range(3)]
        reply = Reply(stored.message, metadata=stored.metadata)
        form = ResponseForm(forms, reply, Response(200, headers, b"%05d" % number, "text/plain"))
        forms.keep(object(), form, form.size_bytes)
        described = form.response()
        described.headers.append(("Vary", "Accept"))
        form.described[False] = described.headers.copy()
        for origin in "ab":
            own = [("Age", f"{number}"), ("Cache-Status", f"gateway; hit; ttl={number}")]
            described.headers = [*headers, *own, ("X-Request-Id", f"{number}" * 20)]
            described.fixed = origin * 300
            form.keep_head(described, own, origin)
            form.repeat_head(described, own, origin, "id")
            plain_response(described, "")


@pytest.mark.parametrize(
    "store",
    [
        *(small, of_many_callers, of_one_caller, with_metadata, with_tags, with_lines, with_paths),
        with_responses,
    ],
)
def test_no_more_memory_is_taken_than_the_settings_say(
    store: Callable[[MemoryCache, int], None],
) -> None:
    memory = MemoryCache(
        CacheOptions(memory_bytes=MOST_BYTES, max_entry_bytes=MOST_BYTES, principal_share=1.0)
    )
    gc.collect()
    tracemalloc.start()
    try:
        for number in range(1500):  # so that keys of replies that are gone are remembered
            store(memory, number)
        gc.collect()
        used_bytes = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert memory.size_bytes > 0.9 * MOST_BYTES  # it is full
    assert used_bytes < TOLERANCE * MOST_BYTES, (used_bytes / MOST_BYTES, len(memory))
