"""The arithmetic of limits, where no store is needed to see it."""

import pytest

from gateway.stores.base import SlidingWindow
from gateway.stores.counting import take

NOW_S = 1_795_828_345.0


@pytest.mark.parametrize("window_s", [0.01, 0.1, 1 / 3, 0.7, 1.0, 1.1, 59.9, 86400.0])
def test_what_the_window_before_let_through_counts_however_long_windows_are(
    window_s: float,
) -> None:
    limit = SlidingWindow(100, window_s)
    first = int(NOW_S / window_s)
    for number in range(first, first + 200):
        _, state = take(limit, None, 100, (number + 0.9) * window_s)
        same, _ = take(limit, state, 1, (number + 0.95) * window_s)
        later, _ = take(limit, state, 0, (number + 1.1) * window_s)
        assert not same.allowed
        assert later.remaining <= 10
