"""Reads an API from settings, a descriptor set, or a folder of .proto files, and describes it."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from shutil import which
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from gateway.cli.documents import document_of
from gateway.cli.messages import say
from gateway.cli.protos import import_folders
from gateway.config.loader import Config, load_config
from gateway.schema.places import Elements, elements_of
from gateway.schema.sources import DescriptorFiles
from gateway.status import StartUpError

_SETTINGS = frozenset({".yaml", ".yml"})

_MOST_LINES = 10
"""The lines of protoc's errors that are shown; the first ones name the cause."""


class Described(NamedTuple):
    """An API: its OpenAPI document, and the elements of its protos."""

    document: dict[str, Any]
    elements: Elements
    is_read: bool = False
    """True if the document comes from a file, and may have any form."""


def describe(path: Path, settings: Path | None) -> Described:
    """Describes the API of `path`.

    Args:
        path: settings (`.yaml`, `.yml`), an OpenAPI document (`.json`), a folder of .proto files,
            or a descriptor set.
        settings: for the last two, which have none of their own: settings as YAML, or the defaults.

    Raises:
        StartUpError: it cannot be read, or the gateway could not serve it.
    """
    if path.suffix in _SETTINGS:
        return _described(load_config(path, os.environ, {}, say))
    if path.suffix == ".json" and not path.is_dir():
        return Described(_read_document(path), {}, is_read=True)
    config = Config() if settings is None else load_config(settings, os.environ, {}, say)
    with _descriptor_set(path) as file:
        own = {"descriptors": [file], "modules": [], "reflect": False}
        return _described(config.model_copy(update=own))


def _read_document(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except OSError as error:
        raise StartUpError(f"{path}: cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not str(found.get("openapi")).startswith("3."):
        wanted = "expected one that gateway openapi has printed"
        raise StartUpError(f"{path}: is not an OpenAPI document; {wanted}")
    return found


def _described(config: Config) -> Described:
    files = DescriptorFiles()
    for path in config.descriptors:
        files.add_set(path)
    for module in config.modules:
        files.add_module(module)
    return Described(document_of(config), elements_of(files.complete().file))


@contextmanager
def _descriptor_set(path: Path) -> Iterator[Path]:
    """The descriptor set of `path`, which is one or a folder of .proto files."""
    if not path.is_dir():
        yield path
        return
    with TemporaryDirectory() as place:
        out = Path(place, path.resolve().name)
        _compile(path, out)
        yield out


def _compile(folder: Path, out: Path) -> None:
    """Compiles all .proto files of a folder; what they import is looked for there first."""
    files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.proto"))
    if not files:
        raise StartUpError(f"{folder}: holds no .proto files")
    includes = [f"-I{place}" for place in (folder, *import_folders())]
    options = ["--include_imports", "--include_source_info", f"--descriptor_set_out={out}"]
    done = subprocess.run(  # noqa: S603 - a fixed program; the arguments are names of files
        [*_protoc(), *includes, *options, *files],
        check=False,
        capture_output=True,
        text=True,
        errors="replace",
    )
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"{folder}: protoc failed without a message"]
        raise StartUpError("\n".join(lines[:_MOST_LINES]))


def _protoc() -> list[str]:
    if find_spec("grpc_tools") is not None:
        return [sys.executable, "-m", "grpc_tools.protoc"]
    found = which("protoc")
    if found is None:
        raise StartUpError(
            "a folder of .proto files needs protoc: pip install grpcio-tools, "
            "or give a descriptor set instead"
        )
    return [found]
