"""Loads every HTTP rule of published API sets, and sends a request to each.

`python -m tools.corpus [FOLDER]` takes a folder of descriptor sets, one per API set, or a folder of
protos; without one it fetches the npm package `google-proto-files` into `.corpus/`. A request for
each binding goes through the router, and then through a gateway to a back end that answers any
method (`tools.corpus_calls`). Exits 1 if a rule is rejected, a request reaches another method, or
the RPC, the request message or the reply is wrong.
"""

import argparse
import asyncio
import os
import resource
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.resources import files as package_files
from pathlib import Path
from typing import IO

from google.protobuf.descriptor_pb2 import FileDescriptorSet
from grpc_tools import protoc

from gateway.config.routing import OnConflict
from gateway.schema.catalog import Schema, build_schema
from gateway.schema.sources import DescriptorFiles
from gateway.transcoding.binding import Binding, Severity, bind, build_router
from gateway.transcoding.routing.router import Router
from gateway.transcoding.routing.template import DeepWildcard, Literal, Template
from tools.corpus_calls import Calls, call_all

PACKAGE = "google-proto-files@5.0.3"
FOLDER = Path(".corpus")
SUFFIXES = frozenset({".binpb", ".pb", ".pbset", ".desc", ".protoset", ".fds"})
"""The endings of the names of files that hold a descriptor set."""


@dataclass
class Outcome:
    """The results for the corpus."""

    files: int = 0
    skipped: int = 0
    services: int = 0
    methods: int = 0
    bindings: int = 0
    load_s: float = 0.0
    errors: list[str] = field(default_factory=list)
    warnings: Counter[str] = field(default_factory=Counter)
    routed: Counter[str] = field(default_factory=Counter)
    astray: list[str] = field(default_factory=list)
    calls: Calls | None = None

    @property
    def is_well(self) -> bool:
        """True if every rule is served, and every call had the expected result."""
        wrong = self.calls.wrong if self.calls is not None else []
        return not (self.errors or self.astray or wrong)


def fetch() -> Path:
    """The folder with the package's protos; npm fetches it the first time."""
    unpacked = FOLDER / "package"
    if not unpacked.exists():
        if shutil.which("npm") is None:
            raise SystemExit("npm is needed to fetch the protos; or give a folder")
        FOLDER.mkdir(exist_ok=True)
        command = ["npm", "pack", "--silent", PACKAGE]
        name = subprocess.run(command, cwd=FOLDER, check=True, stdout=subprocess.PIPE, text=True)
        with (
            tempfile.TemporaryDirectory(dir=FOLDER) as place,
            tarfile.open(FOLDER / name.stdout.strip().splitlines()[-1]) as archive,
        ):
            archive.extractall(place, filter="data")
            # The name is given last, so that only a complete folder has it.
            Path(place, "package").rename(unpacked)
    return unpacked


def descriptor_sets(folder: Path) -> list[Path]:
    """The descriptor sets among the files of a folder and its subfolders."""
    return sorted(path for path in folder.rglob("*") if path.suffix in SUFFIXES)


def read_set(path: Path) -> FileDescriptorSet:
    """The files of one descriptor set, each after its dependencies."""
    collected = DescriptorFiles()
    collected.add_set(path)
    return collected.complete()


def compile_protos(folder: Path) -> tuple[FileDescriptorSet, int]:
    """All protos with HTTP rules that compile together with their imports; the count of others."""
    annotated = [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*.proto"))
        if "google.api.http)" in path.read_text(encoding="utf-8", errors="replace")
    ]
    collected = DescriptorFiles()
    skipped = 0
    with tempfile.TemporaryDirectory() as place:
        # By API, so that a file with errors excludes only its own API.
        for number, names in enumerate(_by_folder(annotated)):
            out = Path(place, f"{number}.binpb")
            if _protoc(folder, names, out):
                collected.add_set(out)
            else:
                skipped += len(names)
    return collected.complete(), skipped


def _by_folder(names: Iterable[str]) -> Iterable[list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[str(Path(name).parent)].append(name)
    return groups.values()


def _protoc(folder: Path, names: Sequence[str], out: Path) -> bool:
    includes = [str(folder), str(package_files("grpc_tools").joinpath("_proto"))]
    arguments = [f"-I{include}" for include in includes]
    arguments += ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    with _quiet() as words:
        compiled = bool(protoc.main(["protoc", *arguments, *names]) == 0)
        words.seek(0)
        complaint = "" if compiled else words.read()
    print(complaint, end="", file=sys.stderr)
    return compiled


@contextmanager
def _quiet() -> Iterator[IO[str]]:
    """Discards standard error, where protoc warns of each unused import."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile("w+") as words:
        os.dup2(words.fileno(), 2)
        try:
            yield words
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def check(files: FileDescriptorSet) -> Outcome:
    """Loads every rule, and routes a sample request for each."""
    outcome = Outcome(files=len(files.file))
    started_s = time.perf_counter()
    schema = build_schema(files)
    bindings, diagnostics = bind(schema)
    router, conflicts = build_router(bindings, on_conflict=OnConflict.FIRST)
    outcome.load_s = time.perf_counter() - started_s
    _count(outcome, schema, bindings)
    for diagnostic in (*diagnostics, *conflicts):
        if diagnostic.severity is Severity.ERROR:
            outcome.errors.append(str(diagnostic))
        else:
            outcome.warnings[_kind(diagnostic.message)] += 1
    route_all(outcome, router, bindings)
    return outcome


def _count(outcome: Outcome, schema: Schema, bindings: Sequence[Binding]) -> None:
    outcome.services = len(schema.services)
    outcome.methods = len(schema.methods)
    outcome.bindings = len(bindings)


def _kind(message: str) -> str:
    """A warning without the names in it, so that warnings can be counted by kind."""
    if message.startswith("the same route as"):
        return "the same route as another method"
    return message.partition(":")[0].partition(";")[0][:60]


def route_all(outcome: Outcome, router: Router[Binding], bindings: Sequence[Binding]) -> None:
    """Sends a sample request for each binding through the router.

    If several bindings share a route, any of them may answer; otherwise a request must reach its
    own method. A template with more segments may match a request for one with fewer.
    """
    sharing: dict[tuple[str, str], set[str]] = defaultdict(set)
    for binding in bindings:
        sharing[binding.http_method, _shape(binding.template)].add(binding.method.full_name)
    for binding in bindings:
        path = make_path(binding.template)
        http_method = "GET" if binding.http_method == "*" else binding.http_method
        found = router.match(http_method, path).target
        group = sharing[binding.http_method, _shape(binding.template)]
        if found.method is binding.method:
            outcome.routed["to its own method"] += 1
        elif found.method.full_name in group and _length(found) >= _length(binding):
            outcome.routed["to one that shares the route"] += 1
        else:
            outcome.routed["astray"] += 1
            outcome.astray.append(f"{http_method} {path}: {binding} went to {found}")


def _length(binding: Binding) -> int:
    return len(binding.template.segments)


def make_path(template: Template) -> str:
    """A path that the template matches, with words that are literals of no other template."""
    segments: list[str] = []
    for number, segment in enumerate(template.segments):
        if isinstance(segment, Literal):
            segments.append(str(segment))
        elif isinstance(segment, DeepWildcard):
            segments += [f"zz{number}a", f"zz{number}b"]
        else:
            segments.append(f"zz{number}")
    verb = f":{Literal(template.verb)}" if template.verb else ""
    return f"/{'/'.join(segments)}{verb}"


def _shape(template: Template) -> str:
    """The form of a template, equal for templates that match the same paths.

    Wildcards after a `**` only limit its length. For example, Firestore's documents and collections
    are such a pair: nothing in their rules distinguishes them.
    """
    shape = "/".join(map(str, template.segments))
    while shape.endswith("**/*"):
        shape = shape.removesuffix("/*")
    return f"{shape}:{template.verb}"


def report(outcome: Outcome) -> str:
    """The outcome as a table."""
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    rows = [
        ("files", outcome.files),
        ("files that do not compile", outcome.skipped),
        ("services", outcome.services),
        ("methods", outcome.methods),
        ("bindings", outcome.bindings),
        ("loaded in", f"{outcome.load_s:.2f} s"),
        ("peak memory", f"{peak_mb:.0f} MB"),
        ("errors", len(outcome.errors)),
        *((f"warning: {text}", count) for text, count in outcome.warnings.most_common()),
        *((f"routed {where}", count) for where, count in outcome.routed.most_common()),
    ]
    wrong: list[str] = []
    if outcome.calls is not None:
        wrong = outcome.calls.wrong
        rows += [
            ("called, with the right RPC, message and reply", outcome.calls.right),
            ("called, with another outcome", len(wrong)),
            ("not called, because another binding serves the path", outcome.calls.left_out),
        ]
    lines = [f"{name:70} {value:>12}" for name, value in rows]
    return "\n".join([*lines, *outcome.errors, *outcome.astray, *wrong])


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="descriptor sets, or protos")
    parser.add_argument("--no-calls", action="store_true", help="load and route only")
    given = parser.parse_args(arguments)
    folder = given.folder or fetch()
    is_well = True
    for name, files, skipped in _api_sets(folder):
        outcome = check(files)
        outcome.skipped = skipped
        if not given.no_calls:
            outcome.calls = asyncio.run(call_all(files))
        print(f"{name}\n{report(outcome)}")
        is_well = is_well and outcome.is_well
    return 0 if is_well else 1


def _api_sets(folder: Path) -> Iterator[tuple[str, FileDescriptorSet, int]]:
    """The API sets of a folder: name, files, and the number of files that do not compile."""
    sets = descriptor_sets(folder)
    for path in sets:
        yield str(path), read_set(path), 0
    if not sets:
        yield str(folder), *compile_protos(folder)


if __name__ == "__main__":
    sys.exit(main())
