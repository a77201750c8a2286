"""Says what limits of upstreams come to in all workers together: each worker counts alone."""

from collections.abc import Iterator

from gateway.config.model import Config
from gateway.process.worker_count import worker_count

_LIMITS = ("max_requests", "max_pending")


def worker_figures(config: Config) -> Iterator[str]:
    """Yields a line for each such limit that the settings state, if there are several workers."""
    workers = worker_count(config)
    if workers < 2:
        return
    for name, upstream in config.upstreams.items():
        where = f"upstreams.{name}"
        for setting in _LIMITS:
            most = getattr(upstream, setting)
            if most is not None and setting in upstream.model_fields_set:
                yield f"{where}.{setting}: {_times(workers, most)}"
        if upstream.adaptive is not None:
            yield f"{where}.adaptive.max: {_times(workers, upstream.adaptive.max)}"
        if "max_connections" in upstream.model_fields_set:
            most = upstream.max_connections
            yield f"{where}.max_connections: {_times(workers, most)}, to each endpoint"
        size, known = upstream.subset_size, len(upstream.targets)
        if size is not None and workers * size < known:
            yield (
                f"{where}.subset_size: {workers} workers with {size} endpoints each do not reach "
                f"all {known}; other nodes may"
            )


def _times(workers: int, most: int) -> str:
    return f"{most} for each of {workers} workers, so {workers * most} in all"
