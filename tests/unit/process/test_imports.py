"""A worker holds in memory only the libraries that its settings need."""

import subprocess
import sys


def test_a_worker_without_the_channel_of_grpcio_does_not_load_grpcio() -> None:
    code = "import sys, gateway.process.serve; sys.exit('grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=False, timeout=120)
    assert done.returncode == 0
