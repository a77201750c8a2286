"""The number of workers, and settings that several of them could not share."""

from gateway.config.model import Config, StartUpError
from gateway.process.cpus import usable_cpus


def check_shared(config: Config) -> None:
    """Rejects settings that several workers cannot share.

    Raises:
        StartUpError: tokens and keys would be kept in the memory of one worker.
    """
    if worker_count(config) > 1 and (config.auth.store or "").startswith("memory:"):
        raise StartUpError(
            "auth.store: workers cannot share memory:; use sqlite:///file.db, redis:// "
            "or postgres://, which several workers share"
        )


def check_kept(config: Config) -> None:
    """Rejects new processes where the memory of the old one has tokens and keys.

    Raises:
        StartUpError: the new ones would not know them.
    """
    takes_keys = any(rule.idempotency is not None for rule in config.policies)
    if takes_keys and config.idempotency.store_url(config.auth.store) == "memory:":
        raise StartUpError(
            "idempotency.store: memory: is the memory of one process, and this change starts "
            "another one, which would do a request with a known key again: use "
            "redis://host:6379/0, or restart the gateway when no request is repeated"
        )
    if (config.auth.store or "").startswith("memory:"):
        raise StartUpError(
            "auth.store: memory: is the memory of one process, and this change starts another one, "
            "which would know no token or key: use sqlite:///file.db, redis:// or postgres://, or "
            "restart the gateway"
        )


def worker_count(config: Config) -> int:
    """Returns the number of processes that serve."""
    if config.workers:
        return config.workers
    return usable_cpus()
