"""What is kept in this process does not grow without end."""

import pytest

from gateway.stores.base import TokenBucket
from gateway.stores.memory import MemoryStore

HOURLY = TokenBucket(1, 3600.0)


@pytest.mark.slow
def test_whoever_makes_keys_up_fills_no_memory_and_frees_nobody_who_still_calls() -> None:
    store = MemoryStore()
    assert store.take_now("busy", HOURLY).allowed
    for number in range(150_000):
        store.take_now(f"made up {number}", HOURLY)
        if number % 50_000 == 0:
            assert not store.take_now("busy", HOURLY).allowed
    assert not store.take_now("busy", HOURLY).allowed
    assert store.take_now("made up 0", HOURLY).allowed
