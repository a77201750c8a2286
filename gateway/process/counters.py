"""The files in which workers count, for the metrics of all of them."""

from collections.abc import Collection
from typing import Self

from gateway.config.model import Config
from gateway.telemetry.metrics.cells import CellFile, MetricFiles
from gateway.telemetry.metrics.exposition import Exposition


class Counters:
    """The files of all workers, also of those that have ended: no counter falls."""

    def __init__(self, config: Config, files: list[CellFile] | None = None) -> None:
        """Takes the settings, and the files to go on with."""
        self._options = config.metrics
        self._files = [] if files is None else files
        self.exposition = (
            Exposition(config.metrics, self._files, config.tracing)
            if config.metrics.enabled
            else None
        )
        """The text of the metrics of all workers; None if they are off."""

    def after(self, config: Config) -> Self:
        """Returns the files for new settings; counters begin anew if those of metrics differ."""
        return type(self)(config, self._files if config.metrics == self._options else None)

    def files(self, count: int, in_use: Collection[CellFile] = ()) -> list[MetricFiles | None]:
        """Returns a file that is not in use for each of `count` workers; None if metrics are off.

        A worker has all files if it may be asked for the metrics of all.
        """
        if self.exposition is None:
            return [None] * count
        free = [one for one in self._files if one not in in_use][:count]
        new = [CellFile() for _ in range(count - len(free))]
        self._files += new
        own = [*free, *new]
        is_public = self._options.public
        return [
            MetricFiles(file, tuple(self._files) if is_public else (file,), number)
            for number, file in enumerate(own, 1)
        ]
