"""The files that settings come from, and their states."""

from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.config.model import Config
from gateway.files import state_of


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


def states_of(files: Iterable[Path]) -> dict[Path, object]:
    """Returns the state of each file; see `state_of`."""
    return {file: state_of(file) for file in files}
