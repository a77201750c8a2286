"""Compares the codecs in CPU time: compiled Python and native code, in both directions.

`python -m benchmarks.codec [--code BUILD] [ROUNDS]`, where BUILD is a folder with the compiled
gateway, which is built if it is missing. Each form has many documents that differ, and the codecs
take turns within a round: trust the ratios, not the microseconds.
"""

import argparse
import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any, NamedTuple

from google.protobuf.descriptor_pool import DescriptorPool

from benchmarks.building import compiled
from benchmarks.sample import HERE, ITEM, schema
from gateway.config.json import JsonOptions
from gateway.status import StatusError
from gateway.transcoding.json.codec import Codec, Transform
from gateway.transcoding.json.native import VARIABLE
from tests.support import rich

_ROUNDS = 15
_DOCUMENTS = 64
_SECONDS_A_ROUND = 0.05
_WORDS = [
    *("brass", "sextant", "naval", "north", "chart", "übung", "compass", "'deck'", "lantern"),
    'the "log"',
]

Document = dict[str, Any]


class Form(NamedTuple):
    """Documents of one type; `field` is the one that is the whole body, if any.

    `refused` ones have wrong values, and are only read.
    """

    name: str
    pool: Callable[[], DescriptorPool]
    type: str
    make: Callable[[random.Random], Document]
    field: str = ""
    refused: bool = False


def words(chance: random.Random, count: int) -> str:
    """Some words."""
    return " ".join(chance.choices(_WORDS, k=count))


def item(chance: random.Random) -> Document:
    """An item of bench.proto, with a value in nearly every field."""
    return ITEM | {
        "name": f"shelves/{chance.randrange(100)}/items/{chance.randrange(10_000)}",
        "title": words(chance, 3),
        "serial": str(chance.randrange(1 << 60)),
        "weight": round(chance.uniform(0, 100), 2),
        "tags": chance.sample(_WORDS, k=chance.randint(1, 3)),
        "labels": {word: words(chance, 1) for word in chance.sample(_WORDS, k=2)},
        "created": f"2024-{chance.randint(1, 12):02}-{chance.randint(1, 28):02}T07:08:09Z",
        "size": {"width": chance.randrange(1, 99), "height": chance.randrange(1, 999)},
    }


def small_item(chance: random.Random) -> Document:
    """An item with three fields."""
    return {
        name: value for name, value in item(chance).items() if name in ("name", "size", "state")
    }


def large_item(chance: random.Random) -> Document:
    """An item of about a kilobyte."""
    return item(chance) | {"description": words(chance, 110)}


def wrong_item(chance: random.Random) -> Document:
    """An item of about a kilobyte with three wrong values."""
    return large_item(chance) | {
        "weight": "heavy",
        "size": {"width": 1.5},
        "state": words(chance, 1),
    }


def hundred(chance: random.Random) -> Document:
    """A list of items."""
    return {"items": [item(chance) for _ in range(100)]}


def book(chance: random.Random) -> Document:
    """A message with floats, an Any, a Struct, a mask and wrappers."""
    return {
        "title": words(chance, 3),
        "ratio": chance.random(),
        "weights": [round(chance.uniform(0, 9), 3) for _ in range(4)],
        "any": {"@type": "type.googleapis.com/rich.Plain", "name": words(chance, 2), "count": 7},
        "extra": {
            "kind": words(chance, 1),
            "pages": chance.randrange(900),
            "parts": [{"on": True}, None, chance.random()],
        },
        "mask": "title,author.birthYear,coAuthors",
        "wWide": str(chance.randrange(1 << 50)),
        "byYear": {str(1900 + chance.randrange(99)): {"name": words(chance, 2)}},
        "printed": "2024-05-06T07:08:09.250Z",
        "loan": f"{chance.randrange(999)}.5s",
    }


def _bench() -> DescriptorPool:
    return schema().pool


FORMS = (
    Form("item", _bench, "bench.v1.Item", item),
    Form("small item", _bench, "bench.v1.Item", small_item),
    Form("list of 100", _bench, "bench.v1.ListItemsResponse", hundred),
    Form("POST 1 kB", _bench, "bench.v1.CreateItemRequest", large_item, field="item"),
    Form("float, Any, Struct, mask", rich.pool, "rich.Book", book),
    Form(
        "POST 1 kB, refused",
        _bench,
        "bench.v1.CreateItemRequest",
        wrong_item,
        field="item",
        refused=True,
    ),
)


class Figure(NamedTuple):
    """The cost of one document: microseconds of CPU with each codec, and their ratio."""

    form: str
    direction: str
    python_us: float
    native_us: float
    ratio: float


def codecs(pool: DescriptorPool) -> list[Codec]:
    """The codec in Python and the native one.

    Raises:
        StartUpError: the native codec is not built.
    """
    found = []
    for name in ("python", "native"):
        os.environ[VARIABLE] = name
        found.append(Codec(pool, JsonOptions(emit_unset=False)))
    return found


def measure(form: Form, rounds: int) -> list[Figure]:
    """Compares the codecs for one form of documents."""
    pool = form.pool()
    kind = pool.FindMessageTypeByName(form.type)
    field = kind.fields_by_name[form.field] if form.field else None
    both = codecs(pool)
    chance = random.Random(1)
    bodies = [json.dumps(form.make(chance), ensure_ascii=False).encode() for _ in range(_DOCUMENTS)]
    read = [codec.field_reader(field) if field else codec.reader(kind) for codec in both]
    if form.refused:
        read = [_refusing(work) for work in read]
    figures = [_figure(form.name, "in", read, bodies, rounds)]
    if not form.refused:
        wires = [read[0](body) for body in bodies]
        write = [codec.field_writer(field) if field else codec.writer(kind) for codec in both]
        figures.append(_figure(form.name, "out", write, wires, rounds))
    return figures


def _refusing(read: Transform) -> Transform:
    """A reader whose refusal is its result."""

    def refuse(body: bytes) -> bytes:
        with suppress(StatusError):
            read(body)
        return b""

    return refuse


def _figure(
    form: str, direction: str, works: Sequence[Transform], inputs: list[bytes], rounds: int
) -> Figure:
    repeats = [_repeats(work, inputs) for work in works]
    pairs = [
        [_spent_us(work, inputs, times) for work, times in zip(works, repeats, strict=True)]
        for _ in range(rounds)
    ]
    python, native = (median(costs) for costs in zip(*pairs, strict=True))
    ratio = median(native / python for python, native in pairs)
    return Figure(form, direction, python, native, ratio)


def _repeats(work: Transform, inputs: list[bytes]) -> int:
    """The number of times that all documents are converted in a round."""
    _spent_us(work, inputs, 1)  # what is made once is made now
    spent_s = _spent_us(work, inputs, 1) * len(inputs) / 1e6
    return max(1, int(_SECONDS_A_ROUND / max(spent_s, 1e-6)))


def _spent_us(work: Transform, inputs: list[bytes], times: int) -> float:
    started = process_time()
    for _ in range(times):
        for each in inputs:
            work(each)
    return (process_time() - started) / times / len(inputs) * 1e6


def show(rounds: int) -> None:
    """Prints a row for each form and direction."""
    from gateway.transcoding.json.reading import messages  # noqa: PLC0415

    is_compiled = str(messages.__file__).endswith(".so")
    print(f"{'machine code' if is_compiled else 'plain Python'}; native: {_native_place()}")
    print(f"{'form':28}{'':5}{'Python us':>12}{'native us':>12}{'ratio':>8}")
    for form in FORMS:
        for row in measure(form, rounds):
            print(
                f"{row.form:28}{row.direction:5}{row.python_us:12.2f}{row.native_us:12.2f}"
                f"{row.ratio:8.3f}",
                flush=True,
            )


def _native_place() -> str:
    import gateway_native  # noqa: PLC0415 - it may not be installed

    return str(gateway_native.__file__)


def main() -> int:
    """Runs the comparison in a process that imports the compiled gateway."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--code", type=Path, help="a folder with the compiled gateway")
    parser.add_argument("--here", action="store_true", help="compare the code that is imported")
    parser.add_argument("rounds", type=int, nargs="?", default=_ROUNDS)
    options = parser.parse_args()
    if options.here:
        show(options.rounds)
        return 0
    code = options.code.resolve() if options.code else compiled()
    environment = os.environ | {"PYTHONPATH": f"{code}{os.pathsep}{HERE.parent}"}
    # -P: the sources in the folder of the project do not hide the compiled gateway.
    command = [sys.executable, "-P", "-m", "benchmarks.codec", "--here", str(options.rounds)]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
