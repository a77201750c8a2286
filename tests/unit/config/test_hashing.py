"""The settings of `balance: ring_hash`, and what is refused."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.config.upstreams import Upstream


def upstream(**settings: Any) -> Upstream:
    return Upstream.model_validate({"target": "localhost:1", **settings})


def test_one_source_needs_no_list() -> None:
    one = upstream(balance="ring_hash", hash={"by": "header", "name": "x-tenant"})
    several = upstream(balance="ring_hash", hash=[{"by": "header", "name": "x-tenant"}])
    assert one.hash == several.hash
    assert len(one.hash) == 1


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"balance": "ring_hash"}, "hash: expected with balance: ring_hash"),
        ({"hash": {"by": "address"}}, "hash: has no effect without balance: ring_hash"),
        ({"max_ring_size": 64}, "max_ring_size: has no effect"),
        ({"balance": "ring_hash", "hash": {"by": "header"}}, "such as x-tenant"),
        ({"balance": "ring_hash", "hash": {"by": "header", "name": "a b"}}, "such as x-tenant"),
        ({"balance": "ring_hash", "hash": {"by": "header", "name": "x-bin"}}, "-bin"),
        ({"balance": "ring_hash", "hash": {"by": "field", "name": "a..b"}}, "such as book.name"),
        ({"balance": "ring_hash", "hash": {"by": "principal", "name": "x"}}, "has no name"),
        ({"channel": "grpcio", "hash": {"by": "address"}}, "is for channel: http2"),
        (
            {"balance": "ring_hash", "hash": {"by": "address"}, "hash_balance_factor": 99},
            "greater than or equal to 100",
        ),
    ],
)
def test_what_is_refused_and_why(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        upstream(**settings)
