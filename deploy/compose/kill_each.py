"""Kills the gateways of compose.yaml one after another while clients ask: no GET may fail.

    python3 deploy/compose/kill_each.py

It needs Python alone, and ends with 1 if a request failed. `--kill` and `--start` are the commands
for one node; others than those of Compose serve for gateways that run in another way.
"""

import argparse
import http.client
import shlex
import subprocess
import sys
import threading
import time
from collections import Counter, deque
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

_COMPOSE = f"docker compose -f {shlex.quote(str(Path(__file__).with_name('compose.yaml')))}"
_REQUESTS_OF_A_CONNECTION = 25
_PAUSE_S = 0.02
_LAST = 60


class Clients:
    """Requests to one URL, on connections that are kept for a while."""

    def __init__(self, url: SplitResult) -> None:
        self._url = url
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._nodes: deque[str] = deque(maxlen=_LAST)
        self.answered = 0
        self.slowest_s = 0.0
        self.failed: Counter[str] = Counter()

    def start(self, count: int) -> None:
        """Starts so many clients."""
        for _ in range(count):
            threading.Thread(target=self._run, daemon=True).start()

    def count_from_now(self) -> None:
        """Forgets what was answered and failed so far."""
        with self._lock:
            self.answered, self.slowest_s = 0, 0.0
            self.failed.clear()

    def end(self) -> None:
        """Lets each client end after its request."""
        self._ended.set()

    def spread_over(self, nodes: int, within_s: float) -> None:
        """Waits until exactly so many nodes have given the last answers."""
        with self._lock:
            self._nodes.clear()
        until_s = time.monotonic() + within_s
        while time.monotonic() < until_s:
            time.sleep(0.1)
            with self._lock:
                if len(self._nodes) == _LAST and len(set(self._nodes)) == nodes:
                    return
        with self._lock:
            found = len(set(self._nodes))
        said = f"{found} nodes answer after {within_s:.0f} s, expected {nodes}"
        raise SystemExit(f"{said}; failed: {dict(self.failed)}")

    def _run(self) -> None:
        while not self._ended.is_set():
            connection = http.client.HTTPConnection(self._url.netloc, timeout=30)
            try:
                for _ in range(_REQUESTS_OF_A_CONNECTION):
                    self._ask(connection)
                    time.sleep(_PAUSE_S)
            except (OSError, http.client.HTTPException) as error:
                with self._lock:
                    self.failed[repr(error)] += 1
                time.sleep(_PAUSE_S)
            finally:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> None:
        before_s = time.monotonic()
        connection.request("GET", self._url.path)
        response = connection.getresponse()
        body = response.read()
        took_s = time.monotonic() - before_s
        with self._lock:
            self.slowest_s = max(self.slowest_s, took_s)
            if response.status == 200:
                self.answered += 1
                # Request ids count up after a part that each process has for itself.
                self._nodes.append((response.getheader("x-request-id") or "").rpartition("-")[0])
            else:
                self.failed[f"{response.status} {body[:200]!r}"] += 1


def command(text: str, node: str) -> None:
    """Runs a command for a node; ends the program if it fails."""
    words = [word.replace("{node}", node) for word in shlex.split(text)]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{shlex.join(words)}: exit code {done.returncode}: {done.stderr.strip()}")


def options() -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("nodes", nargs="*", default=["gateway-1", "gateway-2", "gateway-3"])
    parser.add_argument("--url", type=urlsplit, default="http://127.0.0.1:8080/v1/echo/hello")
    parser.add_argument("--kill", default=f"{_COMPOSE} kill {{node}}")
    parser.add_argument("--start", default=f"{_COMPOSE} start {{node}}")
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--within-s", type=float, default=90, help="for each node to go or come")
    return parser.parse_args()


def main() -> int:
    """Kills each node and starts it again; returns the exit code."""
    chosen = options()
    count = len(chosen.nodes)
    if count < 2:
        raise SystemExit("nodes: only one is named: while it is gone, none is left to answer")
    clients = Clients(chosen.url)
    clients.start(chosen.clients)
    try:
        clients.spread_over(count, chosen.within_s)
        # Until all have started, the balancer may have had none.
        clients.count_from_now()
        for node in chosen.nodes:
            command(chosen.kill, node)
            clients.spread_over(count - 1, chosen.within_s)
            command(chosen.start, node)
            # The balancer must have it again before the next is killed.
            clients.spread_over(count, chosen.within_s)
            print(f"{node}: killed, and back", flush=True)
    finally:
        clients.end()
    failed = sum(clients.failed.values())
    print(f"{clients.answered} answered, {failed} failed, slowest {clients.slowest_s:.2f} s")
    for reason, times in clients.failed.most_common():
        print(f"{times} times: {reason}")
    return 1 if failed or not clients.answered else 0


if __name__ == "__main__":
    sys.exit(main())
