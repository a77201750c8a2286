"""How long the nodes that share a store have differed."""

from typing import Any

from gateway.process.nodes import differ_for_s, differences


def node(number: int, config: str, unchanged_s: float, last_seen_s: float) -> dict[str, Any]:
    return {
        "id": str(number),
        "version": "1",
        "routes": "a",
        "config": config,
        "unchanged_s": unchanged_s,
        "last_seen_s": last_seen_s,
    }


def test_nodes_have_differed_since_the_last_change_of_any_of_them() -> None:
    nodes = [node(1, "old", 900.0, 0.0), node(2, "new", 70.0, 5.0), node(3, "new", 80.0, 9.0)]
    assert differences(nodes) == {"config": {"old": ["1"], "new": ["2", "3"]}}
    assert differ_for_s(nodes) == 75.0


def test_equal_nodes_do_not_differ() -> None:
    assert differ_for_s([node(1, "same", 900.0, 0.0), node(2, "same", 70.0, 5.0)]) == 0.0


def test_a_node_that_does_not_tell_is_no_fault() -> None:
    silent = {"id": "2", "version": "0", "config": "old", "routes": "a", "last_seen_s": 1.0}
    assert differ_for_s([node(1, "new", 900.0, 0.0), silent]) == 0.0
