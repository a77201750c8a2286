"""Stored replies in memory: bounds, eviction, and what is dropped by path."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cache.entries import Asked, Entry
from gateway.cache.freshness import Times
from gateway.cache.memory import MemoryCache
from gateway.cache.paths import changed_paths, normal_path
from gateway.call import Metadata, Principal
from gateway.config.cache import CacheOptions


def entry(name: str, *, owner: str = "", size: int = 100, until_s: float = 1e9) -> Entry:
    times = Times(0.0, until_s, until_s, until_s)
    return Entry(name.encode(), bytes(size), [], [], times, owner, ["/" + name])


SIZE = entry("0000").size_bytes


def cache(entries: int, share: float = 1.0) -> MemoryCache:
    most = entries * SIZE
    options = CacheOptions(memory_bytes=most, max_entry_bytes=most, principal_share=share)
    return MemoryCache(options)


def test_an_entry_that_has_expired_is_dropped_when_it_is_asked_for() -> None:
    memory = cache(10)
    memory.put(entry("0001", until_s=5.0))
    assert memory.get(b"0001", 5.0) is not None
    assert memory.get(b"0001", 5.1) is None
    assert (len(memory), memory.size_bytes) == (0, 0)


def test_a_sweep_drops_all_that_has_expired_a_part_at_a_time() -> None:
    memory = cache(1000)
    for number in range(500):
        memory.put(entry(f"{number:04}", until_s=5.0 if number % 2 else 50.0))
    evicted: list[str] = []
    memory.evicted = evicted.append
    steps = [memory.sweep(6.0)]
    assert 0 < len(evicted) < 250
    memory.drop(["/0000"])  # not all that the sweep has yet to look at is still there
    while steps[-1]:
        steps.append(memory.sweep(6.0))
    assert (len(memory), evicted.count("expired")) == (249, 250)
    assert len(steps) < 10
    while memory.sweep(60.0):
        pass
    assert (len(memory), memory.size_bytes) == (0, 0)
    assert memory.sweep(60.0) is False


@pytest.mark.parametrize(("uses", "expired"), [(0, 2), (3, 5)])
def test_what_has_expired_is_not_kept_for_its_use(uses: int, expired: int) -> None:
    memory = cache(10)
    for number in range(10):
        memory.put(entry(f"{number:04}", until_s=5.0 if number % 2 else 1e9))
        for _ in range(uses):
            memory.get(f"{number:04}".encode(), 1.0)
    evicted: list[str] = []
    memory.evicted = evicted.append
    for number in range(10, 15):
        new = entry(f"{number:04}")
        new.confirmed_s = 6.0
        memory.put(new)
    assert (evicted.count("expired"), len(evicted)) == (expired, 5)


def hit_rate(memory: MemoryCache, names: list[str]) -> float:
    hits = 0
    for name in names:
        if memory.get(name.encode(), 1.0) is None:
            memory.put(entry(name))
        else:
            hits += 1
    return hits / len(names)


def test_a_flood_takes_little_from_what_is_used_often() -> None:
    chance = random.Random(1)
    hot = [f"{number:04}" for number in range(10)]
    memory = cache(1000)
    hit_rate(memory, hot * 3)
    flood = [f"flood{number}" for number in range(10_000)]
    found = []
    for one in flood:
        hit_rate(memory, [one])
        found.append(hit_rate(memory, [chance.choice(hot)]))
    assert sum(found) / len(found) >= 0.9


def test_replies_of_a_zipf_trace_are_found_as_often_as_least_recently_used_would() -> None:
    chance = random.Random(2)
    weights = [1 / rank**0.9 for rank in range(1, 5001)]
    names = [f"{one:04}" for one in chance.choices(range(5000), weights, k=20_000)]
    recent: dict[str, None] = {}
    lru_hits = 0
    for name in names:
        lru_hits += name in recent
        recent.pop(name, None)
        recent[name] = None
        if len(recent) > 250:
            del recent[next(iter(recent))]
    assert hit_rate(cache(250), names) > lru_hits / len(names)


def asked(path: str, name: str = "") -> Asked:
    return "/s/M", ("GET", path, ""), name, ()


def test_a_line_is_known_to_equal_callers_while_the_reply_is_fresh() -> None:
    memory = cache(10)
    stored = entry("0001")
    memory.put(stored)
    ada = Principal("ada", frozenset({"read"}))
    memory.note(stored, asked("/a", "ada"), ada)
    assert memory.recall(asked("/a", "ada"), Principal("ada", frozenset({"read"})), 1.0) is stored
    others = [None, Principal("ada"), Principal("ada", frozenset({"read", "write"}))]
    assert [memory.recall(asked("/a", "ada"), one, 1.0) for one in others] == [None] * 3
    assert memory.recall(asked("/a"), None, 1.0) is None
    late_s = stored.times.fresh_until_s + 1.0
    assert memory.recall(asked("/a", "ada"), ada, late_s) is None
    memory.drop(["/0001"])
    assert memory.recall(asked("/a", "ada"), ada, 1.0) is None


def test_the_last_lines_of_a_reply_are_known_and_no_long_one() -> None:
    memory = cache(10)
    stored = entry("0001")
    memory.put(stored)
    lines = [asked(f"/{number}") for number in range(6)]
    for line in [*lines, asked("/" + "x" * 2048)]:
        memory.note(stored, line, None)
    assert stored.lines == lines[2:]


def test_a_line_that_was_found_is_told_when_its_reply_is_gone() -> None:
    memory = cache(10)
    ada, other = entry("0001"), entry("0002")
    for stored in (ada, other):
        memory.put(stored)
        memory.note(stored, asked(stored.key.decode()), None)
    lines = [memory.find(asked(one.key.decode()), None) for one in (ada, other)]
    assert [line and memory.fresh(line, 1.0) for line in lines] == [ada, other]
    memory.note(other, asked(ada.key.decode()), None)  # it is the line of another reply now
    memory.discard(other.key)
    assert [line and line.entry for line in lines] == [None, None]
    assert [line and memory.fresh(line, 1.0) for line in lines] == [None, None]


_STEPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "get", "drop", "path", "line", "form", "again"]),
        st.integers(0, 30),
        st.sampled_from(["", "ada", "bob"]),
        st.integers(0, 3 * SIZE),
    ),
    max_size=200,
)


@given(_STEPS)
def test_the_books_are_right_after_whatever_happens(steps: list[tuple[str, int, str, int]]) -> None:
    memory = cache(10, share=0.5)
    for kind, number, owner, size in steps:
        name = f"{number:04}"
        found = memory.get(name.encode(), 1.0)
        if kind == "put":
            memory.put(entry(name, owner=owner, size=size))
        elif kind == "drop":
            memory.drop(["/" + name])
            assert memory.get(name.encode(), 1.0) is None
        elif kind == "path" and found is not None:
            memory.add_path(found, f"/other{size % 12}")
        elif kind == "line" and found is not None:
            memory.note(found, asked(f"/line{size % 40}"), None)
        elif kind == "form" and found is not None and found.forms is not None:
            found.forms.keep(object(), object(), size)
        elif kind == "again" and found is not None:
            memory.discard(found.key)
            memory.put(found)
        entries = list(memory._entries.values())
        assert memory.size_bytes == sum(one.size_bytes for one in entries)
        small = [one for one in entries if not one.is_in_main]
        assert memory._small_bytes == sum(one.size_bytes for one in small)
        assert {one.key for one in small} == set(memory._small)
        assert len(memory._small) + len(memory._main) == len(entries)
        for who in ("ada", "bob"):
            owned = sum(one.size_bytes for one in entries if one.owner == who)
            assert memory._owned_bytes.get(who, 0) == owned
        assert len(memory._by_path) == len({path for one in entries for path in one.paths})
        lines = {line: one for one in entries for line in one.lines}
        assert {line: known[0] for line, known in memory._by_line.items()} == lines
        assert memory.size_bytes <= 10 * SIZE


def test_an_entry_of_too_many_paths_is_not_sent() -> None:
    memory = cache(10)
    stored = entry("0001")
    memory.put(stored)
    reached = [memory.add_path(stored, f"/{number}") for number in range(10)]
    assert reached == [True] * 7 + [False] * 3


def test_paths_are_spelled_in_one_way() -> None:
    assert normal_path("/v1/%61/b%2Fc/") == "/v1/a/b%2Fc"
    assert normal_path("/v1/a/b/c") != normal_path("/v1/a/b%2fc")


def test_a_change_reaches_the_resource_its_parent_and_where_it_points_to() -> None:
    assert changed_paths("/v1/a/1:archive", [], "h") == {"/v1/a/1:archive", "/v1/a/1", "/v1/a"}
    named: Metadata = [("location", "https://H/v1/b/2?x=1"), ("content-location", "v1/c")]
    assert changed_paths("/v1/a", named, "h") == {"/v1/a", "/v1", "/v1/b/2"}
