"""The modules that one serving process leaves out: it never needs them, and they take memory."""

import json
import subprocess
import sys

SERVING = "import json, sys, gateway.cli.main, gateway.cli.serve, gateway.process.serve; "
NOT_NEEDED = frozenset(
    {"multiprocessing", "gateway.process.supervisor", "gateway.openapi.changes.operations", "grpc"}
)


def test_one_process_loads_nothing_of_several_workers_or_of_comparisons() -> None:
    code = f"{SERVING} print(json.dumps(list(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True)
    assert not NOT_NEEDED & set(json.loads(done.stdout))
