"""Names for requests."""

import re

import pytest

from gateway.http.request_id import RequestIds


@pytest.mark.parametrize("offered", ["a", "A-1_b.c", "0" * 128])
def test_a_well_formed_id_is_kept(offered: str) -> None:
    assert RequestIds().choose(offered) == offered


@pytest.mark.parametrize("offered", [None, "", "0" * 129, "a b", "a\n", "é", "a/b", '"'])
def test_any_other_is_replaced(offered: str | None) -> None:
    chosen = RequestIds().choose(offered)
    assert re.fullmatch(r"[A-Za-z0-9._\-]{1,128}", chosen)


def test_ids_differ_within_and_between_processes() -> None:
    one, other = RequestIds(), RequestIds()
    assert len({ids.choose(None) for ids in (one, other) for _ in range(100)}) == 200
