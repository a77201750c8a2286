"""Measures small requests through this gateway and its peers, in turns of a second.

`python -m benchmarks.turns [TURNS]`. Results vary more from minute to minute than between two
gateways. So all run at once on one core, and the ratio is the median over pairs of neighbouring
seconds.
"""

import sys
from contextlib import ExitStack
from statistics import median

from rich.console import Console
from rich.table import Table

from benchmarks.building import MissingError
from benchmarks.load import cpu_s, need_wrk, saturate, warm_up
from benchmarks.peers import GRPCIO, OURS, PYTHON, Peer, backend, peers, running
from benchmarks.scenarios import POST, SMALL_GET, Scenario, Setup

_TURNS = 15

Costs = dict[str, list[float]]
"""CPU µs per request of each turn, by gateway."""
Places = dict[str, tuple[int, Peer]]
"""The process of each gateway, by its name."""


def run(turns: int) -> dict[str, Costs]:
    """The costs of each scenario.

    Raises:
        MissingError: wrk is missing, or a gateway is not available.
    """
    need_wrk()
    with backend() as address, ExitStack() as held:
        places: Places = {}
        for peer in peers(address, {Setup.PLAIN}):
            if peer.name not in (GRPCIO, PYTHON):
                pid = held.enter_context(running(peer.command, peer.port))
                places[peer.name] = pid, peer
        return {one.name: _costs(places, one, turns) for one in (SMALL_GET, POST)}


def _costs(places: Places, scenario: Scenario, turns: int) -> Costs:
    costs: Costs = {name: [] for name in places}
    for _, peer in places.values():
        warm_up(peer, scenario)
    for turn in range(-1, turns):  # the first is a warm-up
        # In reverse order every second time, so that none always follows the same one.
        for name in list(places) if turn % 2 else reversed(places):
            pid, peer = places[name]
            before_s = cpu_s(pid)
            answers = saturate(peer.port, scenario, 1)
            if turn >= 0:
                costs[name].append((cpu_s(pid) - before_s) / max(answers.requests, 1) * 1e6)
    return costs


def table(results: dict[str, Costs]) -> Table:
    """A table with a row for each gateway and scenario."""
    rows = Table("request", "gateway", "CPU µs", "ours / its", title="In turns", box=None)
    for scenario, costs in results.items():
        ours = costs[OURS]
        for name, its in costs.items():
            ratio = median(mine / other for mine, other in zip(ours, its, strict=True))
            rows.add_row(scenario, name, f"{median(its):.0f}", f"{ratio:.2f}")
    return rows


if __name__ == "__main__":
    try:
        Console().print(table(run(int(sys.argv[1]) if len(sys.argv) > 1 else _TURNS)))
    except MissingError as missing:
        sys.exit(f"not measured: {missing}")
