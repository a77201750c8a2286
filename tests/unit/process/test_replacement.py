"""The end of a reload with other workers: no new connection gets the settings before."""

from types import SimpleNamespace
from typing import Any

import pytest

from gateway.process.replacement import FormerWorkers, Replacement


class OneWorker(SimpleNamespace):
    """A worker as far as a replacement needs it; it serves at once."""

    def start(self, *_: Any) -> None:
        """Reports at once that it serves."""
        self.started = SimpleNamespace(table=())
        self.is_serving = True

    def retire(self, _: Any) -> None:
        """Goes on accepting until it has read the order."""


def worker(**state: Any) -> Any:
    """A worker without a process."""
    usual = {"sockets": (), "process": object(), "is_port_kept": True, "started": None}
    return OneWorker(**(usual | state))


@pytest.mark.parametrize("is_hung", [False, True], ids=["leaves", "hangs"])
def test_a_reload_is_done_when_those_before_accept_no_more(
    monkeypatch: pytest.MonkeyPatch, *, is_hung: bool
) -> None:
    now_s = 0.0
    monkeypatch.setattr("time.monotonic", lambda: now_s)
    before, former, new = worker(is_serving=True), FormerWorkers(), worker()
    retired: list[int] = []

    def done(_: object, generation: int) -> None:
        retired.append(generation)
        former.retire([before], 60.0, 5.0, [new])

    unused: Any = None
    steps = Replacement(unused, [new], [before], unused, former, done, lambda: None).start(2)
    next(steps)
    assert retired == [2]
    next(steps)
    if is_hung:
        now_s = 2.0
    else:
        before.is_serving = False
    with pytest.raises(StopIteration):
        next(steps)
