"""The number of workers, and settings that several of them could not share."""

from gateway.config.model import Config
from gateway.process.cpus import usable_cpus
from gateway.status import StartUpError


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


def worker_count(config: Config) -> int:
    """Returns the number of processes that serve."""
    if config.workers:
        return config.workers
    return usable_cpus()
