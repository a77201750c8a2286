"""The files that settings come from, and the state in which each was read."""

from collections.abc import Iterator
from pathlib import Path

from gateway.config.model import Config

Stamp = tuple[int, int, int, int] | None
"""The device, number, time of change and size of a file; None if there is none."""


def watched_files(config: Config) -> Iterator[Path]:
    """Yields the files that only a reload reads again."""
    if config.file is not None:
        yield config.file
    yield from config.descriptors
    yield from config.service_config
    yield from config.secret_files
    statements = config.auth.identity.jwt
    if statements is not None:
        yield statements.key
    for upstream in config.upstreams.values():
        if isinstance(upstream.grpc_service_config, Path):
            yield upstream.grpc_service_config
        if upstream.tls is not None:
            tls = upstream.tls
            yield from (one for one in (tls.ca_file, tls.cert_file, tls.key_file) if one)


def stamp(file: Path) -> Stamp:
    """Returns the state of a file; it differs after a change of the content."""
    try:
        found = file.stat()  # of the file that a symbolic link leads to
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime_ns, found.st_size
