"""Secrets that stand elsewhere: `file:/path`, `env:NAME` and `fd:N` in the place of the secret."""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from pydantic import BeforeValidator

from gateway.files import read_file

_FILE: Final = "file:"
_MAX_BYTES: Final = 64 * 1024
_READ: Final[dict[int, bytes]] = {}
"""The secrets from file descriptors, which can be read once; a reload needs them again."""


def _secret(value: object) -> object:
    """Returns the secret that a value names, without line ends; any other value as it is.

    Raises:
        ValueError: the secret cannot be read, or is empty; the message has its place alone.
    """
    kind, _, place = value.partition(":") if isinstance(value, str) else ("", "", "")
    if kind == "file":
        data = _of_file(place)
    elif kind == "env":
        if place not in os.environ:
            raise ValueError(f"env:{place}: there is no such environment variable")
        data = os.environ[place].encode("utf-8", "surrogateescape")
    elif kind == "fd":
        data = _of_descriptor(place)
    else:
        return value
    try:
        text = data.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        raise ValueError(f"{kind}:{place}: is not UTF-8 text") from None
    if not text:
        raise ValueError(f"{kind}:{place}: is empty")
    return text


FROM_ELSEWHERE: Final = BeforeValidator(_secret)
"""Lets a setting with a secret name the place of the secret."""


def secret_files(settings: object) -> Iterator[Path]:
    """Yields the files that settings, as they were written, name by `file:`."""
    if isinstance(settings, Mapping):
        for one in settings.values():
            yield from secret_files(one)
    elif isinstance(settings, list):
        for one in settings:
            yield from secret_files(one)
    elif isinstance(settings, str) and settings.startswith(_FILE):
        yield _path(settings.removeprefix(_FILE))


def _path(place: str) -> Path:
    # systemd's LoadCredential= gives the folder in $CREDENTIALS_DIRECTORY.
    return Path(os.path.expandvars(place))


def _of_file(place: str) -> bytes:
    try:
        return read_file(_path(place), _MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise ValueError(f"file:{place}: cannot be read: {reason or 'no such path'}") from None


def _of_descriptor(place: str) -> bytes:
    if not (place.isascii() and place.isdigit() and len(place) < 6 and int(place) > 2):
        raise ValueError(f"fd:{place}: expected the number of an open file descriptor, 3 or more")
    number = int(place)
    if number not in _READ:
        data = b""
        try:
            while len(data) <= _MAX_BYTES and (piece := os.read(number, _MAX_BYTES)):
                data += piece
            os.close(number)
        except OSError as error:
            raise ValueError(f"fd:{place}: cannot be read: {error.strerror}") from None
        if len(data) > _MAX_BYTES:
            raise ValueError(f"fd:{place}: is longer than {_MAX_BYTES} bytes")
        _READ[number] = data
    return _READ[number]
