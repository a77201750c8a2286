"""`python -m benchmarks.compat`: counts what the settings of other gateways' habits cost.

A process transcodes the same requests, with their headers, under callgrind: with all of these
settings off, and with each set of them on. Nothing in it depends on time, so the counts repeat on a
busy machine. What is off must cost nothing: a request without the shape of a convention costs the
same with the `default` settings as with `off`, which leaves out the conventions that are on by
default. Stages are those that the conventions add to the chains of the methods of `bench.proto`.

As in `instructions.py`, N requests and then 2N are counted, and the difference by N is one.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.building import OUT, MissingError
from benchmarks.instructions import control, total
from benchmarks.sample import HERE, ITEM, item_of_1_kb, message, schema
from gateway.config.compat import with_compat
from gateway.config.model import Config
from gateway.interceptors.resources.stages import resource_stages
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.transcoder import build_transcoder

_COUNT = 300
_READY = "ready"
_HEADERS = [
    (b"Host", b"api.example.com"),
    (b"User-Agent", b"example/1.0"),
    (b"Accept", b"application/json"),
    (b"X-Trace", b"a1b2c3"),
]
_REPLY_METADATA = [("x-cost", "3"), ("x-version", "7")]
_FORMS: Final[Mapping[str, tuple[str, str, str, bytes]]] = {
    "GET": ("GET", "/v1/shelves/7/items/42", "", b""),
    "list": ("GET", "/v1/items", "count=10", b""),
    "POST": ("POST", "/v1/shelves/7/items", "", item_of_1_kb()),
    "PATCH": ("PATCH", "/v1/shelves/7/items/42", "", b'{"title": "x", "size": {"width": 3}}'),
}
OFF: Final = "off"
SETS: Final[Mapping[str, Mapping[str, Any]]] = {
    OFF: {
        "resources": {
            "update_mask": "leave",
            "output_only": "leave",
            "immutable": "leave",
            "request_id": "leave",
        }
    },
    "default": {},
    "conventions": {
        "resources": {
            "etags": "quoted",
            "if_match": "refuse",
            "input_only": "drop",
            "operations": "accepted",
            "operation_wait_s": 10,
            "page_links": True,
            "page_size": 1000,
            "request_id": "fill",
        }
    },
    "google": {"compat": "google"},
    "grpc-gateway": {"compat": "grpc-gateway"},
    "envoy": {"compat": "envoy"},
}
"""The settings of each row."""


def config_of(name: str) -> Config:
    """The settings of a row."""
    return Config.model_validate(with_compat(SETS[name]))


def stages_of(config: Config) -> int:
    """The number of stages that the conventions add to the methods of the sample."""
    methods = list(schema().methods.values())
    made = resource_stages(config.resources, methods, lambda _method, _value: None, {})
    return sum(len(one.around) + len(one.inside) for one in made.values())


def work_of(config: Config, form: str) -> Callable[[], object]:
    """The work for one request of a form, without I/O."""
    transcoder, rules = build_transcoder(config, schema()), MetadataRules(config.metadata)
    http_method, path, query, body = _FORMS[form]
    items = [ITEM] * 10
    reply = message("ListItemsResponse", {"items": items}) if query else message("Item", ITEM)

    def work() -> None:
        found = transcoder.match(http_method, path)
        rules.to_metadata(_HEADERS)
        transcoder.decode(found, query, None, body)
        transcoder.encode(found, reply)
        rules.to_headers(_REPLY_METADATA)

    return work


def serve(name: str) -> None:
    """Does the work as often as each line of the input says; prints a line when it has."""
    config = config_of(name)
    works = {form: work_of(config, form) for form in _FORMS}
    print(_READY, flush=True)
    for line in sys.stdin:
        form, times = line.split()
        for _ in range(int(times) * _COUNT):
            works[form]()
        print(_READY, flush=True)


def count(name: str) -> list[int]:
    """The instructions of a request of each form, with the settings of a row.

    Raises:
        MissingError: valgrind is missing, or cannot be controlled.
    """
    if shutil.which("valgrind") is None:
        raise MissingError("instructions are counted by callgrind: apt-get install valgrind")
    OUT.mkdir(exist_ok=True)
    counts = OUT / f"callgrind-compat-{name}"
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no"]
    command += [f"--callgrind-out-file={counts}", sys.executable, "-m", "benchmarks.compat"]
    environment = os.environ | {"PYTHONPATH": str(HERE.parent), "PYTHONHASHSEED": "1"}
    with subprocess.Popen(
        [*command, "--serve", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env=environment, text=True,
    ) as process:  # fmt: skip
        try:
            _ask(process, "")
            control(process.pid, "instrumentation", "on")
            found: list[int] = []
            for form in _FORMS:
                _ask(process, f"{form} 1")  # callgrind translates the code anew
                control(process.pid, "zero")
                for times in (1, 2):
                    _ask(process, f"{form} {times}")
                    control(process.pid, "dump")
                number = 2 * len(found)
                files = [counts.with_name(f"{counts.name}.{number + one}") for one in (1, 2)]
                once, twice = map(total, files)
                found.append((twice - once) // _COUNT)
            return found
        finally:
            process.kill()


def _ask(process: "subprocess.Popen[str]", line: str) -> None:
    if process.stdin is None or process.stdout is None:
        raise MissingError("the work has no input or output")
    if line:
        process.stdin.write(f"{line}\n")
        process.stdin.flush()
    if process.stdout.readline().strip() != _READY:
        raise MissingError("the work ended early")


def table(counts: Mapping[str, Sequence[int]]) -> Table:
    """A table with the counts, and with their ratios to those with all off."""
    title = "Instructions of transcoding a request (of those with all off), by settings"
    rows = Table("settings", "stages", *_FORMS, title=title, box=None)
    for name, found in counts.items():
        pairs = zip(found, counts[OFF], strict=True)
        cells = [f"{one:,} ({one / off:.3f})" for one, off in pairs]
        rows.add_row(name, str(stages_of(config_of(name))), *cells)
    return rows


def show(console: Console) -> int:
    """Counts, and prints the table, or why nothing is counted; returns an exit code."""
    try:
        console.print(table({name: count(name) for name in SETS}))
    except MissingError as missing:
        print(f"not measured: {missing}", file=sys.stderr)
        return 1
    return 0


def main() -> int:
    """Counts, and prints a table."""
    parser = argparse.ArgumentParser(description="Count what the settings of habits cost.")
    parser.add_argument("--serve", choices=SETS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return 0
    return show(Console(width=120))


if __name__ == "__main__":
    sys.exit(main())
