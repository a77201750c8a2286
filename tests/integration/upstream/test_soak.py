"""A short soak of each channel: what the long one proves for minutes, for some seconds."""

from pathlib import Path

import pytest

from benchmarks.soak import soak
from gateway.config.upstreams import ChannelKind


@pytest.mark.parametrize("kind", list(ChannelKind), ids=str)
async def test_no_call_is_lost_or_answered_twice_and_nothing_is_left(
    kind: ChannelKind, tmp_path: Path
) -> None:
    account = await soak(10, kind, tmp_path)
    assert account.faults == []
    assert account.restarts >= 1
    assert account.codes["OK"] > 500
