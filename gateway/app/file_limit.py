"""Fits the number of connections to the number of files that a process may open."""

import resource
from collections.abc import Sequence

from gateway.config.model import Config

_MOST_FILES = 65_536
# For upstreams, stores, logs, TLS, and clients that are rejected because there are too many. If the
# limit is so low that this would be most of it, half of the limit is reserved.
_RESERVED_FILES = 256


def raise_file_limit() -> None:
    """Raises the limit of open files as far as allowed; many systems start with a low one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, _MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def fit_connections(config: Config) -> tuple[Config, Sequence[str]]:
    """Lowers `limits.connections` to what the files allow; also returns the warnings."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = config.limits.connections
    room = files - min(_RESERVED_FILES, files // 2)
    if files == resource.RLIM_INFINITY or wanted <= room:
        return config, ()
    limits = config.limits.model_copy(update={"connections": room})
    warning = (
        f"warning: limits.connections is {room} instead of {wanted}: this process may have "
        f"{files} files open (RLIMIT_NOFILE, ulimit -n), and {files - room} are kept for "
        "upstreams, stores and logs"
    )
    return config.model_copy(update={"limits": limits}), (warning,)
