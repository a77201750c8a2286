"""The members of `baggage` that pass."""

import pytest

from gateway.transcoding.baggage import kept_baggage


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"a=1", "a=1"),
        (b"a=1;p, b=2 ,c=3", "a=1;p,c=3"),
        (b"aa=1,A=1, =1,a", "a"),
        (b"b=a=1", ""),
        (b"b=1;a=2", ""),
        (b"", ""),
        (b"a=\xe4", ""),
        (b"a=\x0b", ""),
        (b"a=1\t;p\t,\tb=2", "a=1 ;p"),
        (b"a=" + b"1" * 8190, "a=" + "1" * 8190),
        (b"a=" + b"1" * 8191, ""),
        (b"a=1" + b",b=2" * 63, "a=1"),
        (b"a=1" + b",b=2" * 64, ""),
    ],
)
def test_members_with_these_keys_pass_unchanged(value: bytes, expected: str) -> None:
    found = kept_baggage(value, frozenset({"a", "c"}))
    assert found == ([("baggage", expected)] if expected else [])
