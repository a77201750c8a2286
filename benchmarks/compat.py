"""`python -m benchmarks.compat`: counts what the settings of other gateways' habits cost.

A process transcodes the same requests, with their headers, under callgrind: with all of these
settings off, and with each set of them on. Nothing in it depends on time, so the counts repeat on a
busy machine. What is off must cost nothing: a request without the shape of a convention costs the
same with the `default` settings as with `off`, which leaves out the conventions that are on by
default. Stages are those that the conventions add to the chains of the methods of `bench.proto`.
"""

import argparse
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks import work
from benchmarks.building import MissingError
from benchmarks.sample import HERE, ITEM, item_of_1_kb, message, schema
from gateway.config.compat import with_compat
from gateway.config.model import Config
from gateway.interceptors.resources.stages import resource_stages
from gateway.transcoding.metadata import MetadataRules
from gateway.transcoding.transcoder import build_transcoder

_COUNT = 300
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
    """Transcodes `_COUNT` requests of a form as often as each line of the input says."""
    config = config_of(name)

    def repeated(form: str) -> Callable[[], None]:
        one = work_of(config, form)

        def works() -> None:
            for _ in range(_COUNT):
                one()

        return works

    work.serve({form: repeated(form) for form in _FORMS})


def count(name: str) -> list[int]:
    """The instructions of a request of each form, with the settings of a row.

    Raises:
        MissingError: as `work.count`.
    """
    arguments = ["-m", "benchmarks.compat", "--serve", name]
    found = work.count(tuple(_FORMS), arguments, [str(HERE.parent)])
    return [one // _COUNT for one in found]


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
