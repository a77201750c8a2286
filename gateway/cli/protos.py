"""`gateway protos`: the .proto files that annotated APIs import, and the folders they are in."""

import os
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from gateway.status import StartUpError

_PACKAGES = ("google.api", "google.rpc", "gatewayapi.v1")
"""The packages whose .proto files are offered: annotations, error details, policies."""


def show(
    *,
    path: Annotated[
        bool, typer.Option("--path", help="Print the value for protoc's -I instead.")
    ] = False,
) -> None:
    """List the .proto files that come with the gateway, as protos import them."""
    if path:
        typer.echo(os.pathsep.join(import_folders()))
    else:
        for name in _PACKAGES:
            for file in _files(name):
                typer.echo(file)


def import_folders() -> list[str]:
    """The folders from which protoc can import the .proto files that come with the gateway.

    Raises:
        StartUpError: a package is not installed.
    """
    return list(dict.fromkeys(str(_root(name)) for name in _PACKAGES))


def _files(package: str) -> Iterator[str]:
    root = _root(package)
    folder = root.joinpath(*package.split("."))
    return (file.relative_to(root).as_posix() for file in sorted(folder.glob("*.proto")))


def _root(package: str) -> Path:
    """The folder from which the .proto files of a package are imported.

    It is the same for all of them where the gateway was installed from a wheel, and two folders
    in an editable installation. protoc takes several in one `-I`, parted as in `PATH`.

    Raises:
        StartUpError: the package is not installed.
    """
    found = find_spec(package)
    for place in (found and found.submodule_search_locations) or ():
        folder = Path(place)
        if any(folder.glob("*.proto")):
            return folder.parents[package.count(".")]
    raise StartUpError(
        f"the .proto files of {package} are not installed: "
        "pip install --force-reinstall grpc-rest-gateway googleapis-common-protos"
    )
