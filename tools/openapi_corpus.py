"""Lints the OpenAPI document of each package of a published API set.

`python -m tools.openapi_corpus [FOLDER] [--only LINTER]` takes the protos of `tools.corpus`, writes
a document for each package, and has Redocly, Spectral and openapi-spec-validator read it, all
within limits of time. Exits 1 if a linter finds an error; a document that a linter did not finish
is listed, and is no error. The linters for Node are installed once, below `.corpus/`.
"""

import argparse
import os
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from gateway.config.model import Config
from gateway.openapi.document import build_document
from gateway.openapi.text import compact_json
from gateway.policy.effective import effective_policies
from gateway.schema.catalog import build_schema
from gateway.transcoding.binding import Binding, bind
from tools.corpus import FOLDER, compile_protos, fetch

_PACKAGE_JSON: Final = Path("tests/interop/openapi/package.json")
_BATCH: Final = 16
"""The number of documents that one process of a linter reads."""
_BATCH_S: Final = 240.0
_SINGLE_S: Final = 120.0
"""The limits of time of a process with many documents, and with one."""


def write_documents(folder: Path, place: Path) -> list[Path]:
    """Writes the document of each package to a file with its name; the smallest is the first."""
    schema = build_schema(compile_protos(folder)[0], comments=True)
    config = Config()
    policies = effective_policies(schema, config.policies)
    packages: defaultdict[str, list[Binding]] = defaultdict(list)
    for binding in bind(schema)[0]:
        packages[binding.method.service.rpartition(".")[0]].append(binding)
    place.mkdir(parents=True, exist_ok=True)
    found = []
    for package, bindings in packages.items():
        file = place / f"{package}.json"
        document = build_document(config, schema, bindings, policies)
        file.write_bytes(b"".join(compact_json(document)))
        found.append(file)
    return sorted(found, key=lambda file: file.stat().st_size)


def linters(place: Path) -> Mapping[str, Sequence[str]]:
    """The command of each linter, which takes the names of documents; installs what is missing."""
    programs = place / "node_modules/.bin"
    if not programs.exists():
        place.mkdir(parents=True, exist_ok=True)
        shutil.copy(_PACKAGE_JSON, place)
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("npm is needed to install the linters")
        options = ["--no-package-lock", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run([npm, "install", "--silent", *options], cwd=place, check=True)
    rules = place / "spectral.yaml"
    rules.write_text("extends: ['spectral:oas']\n", encoding="utf-8")
    spectral = [str(programs / "spectral"), "lint", "--fail-severity=error", "--quiet"]
    return {
        "redocly": [str(programs / "redocly"), "lint", "--extends=spec"],
        "spectral": [*spectral, "--display-only-failures", "--ruleset", str(rules)],
        "openapi-spec-validator": [sys.executable, "-m", "openapi_spec_validator"],
    }


def lint(command: Sequence[str], documents: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yields each document with what a linter says: empty if it finds no error."""
    for start in range(0, len(documents), _BATCH):
        batch = documents[start : start + _BATCH]
        # Most have no error, and most of the time goes into the start of the program.
        if _run(command, batch, _BATCH_S) == "":
            yield from ((one, "") for one in batch)
        else:
            yield from ((one, _run(command, [one], _SINGLE_S)) for one in batch)


def _run(command: Sequence[str], documents: Sequence[Path], limit_s: float) -> str:
    """The complaint of a linter; empty for none."""
    try:
        done = subprocess.run(
            [*command, *map(str, documents)],
            check=False,
            capture_output=True,
            text=True,
            timeout=limit_s,
            env={**os.environ, "REDOCLY_TELEMETRY": "off"},
        )
    except subprocess.TimeoutExpired:
        return NOT_FINISHED
    return "" if done.returncode == 0 else (done.stdout + done.stderr).strip()


NOT_FINISHED: Final = "not finished"


def main() -> int:
    """Lints the documents, and prints a line for each that has errors or is not finished."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, help="a folder of protos")
    parser.add_argument("--only", help="the name of one linter")
    given = parser.parse_args()
    documents = write_documents(given.folder or fetch(), FOLDER / "openapi")
    print(f"{len(documents)} packages", flush=True)
    wrong = 0
    for name, command in linters(FOLDER.resolve() / "linters").items():
        if given.only not in {None, name}:
            continue
        outcomes = {"no error": 0, NOT_FINISHED: 0, "errors": 0}
        for document, said in lint(command, documents):
            kind = said if said == NOT_FINISHED else "errors" if said else "no error"
            outcomes[kind] += 1
            if said:
                size = document.stat().st_size / 1e6
                print(f"{name}: {document.stem} ({size:.1f} MB): {said}", flush=True)
        wrong += outcomes["errors"]
        print(name, outcomes, flush=True)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
