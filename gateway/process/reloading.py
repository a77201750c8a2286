"""The reload of the gateway in this process: checks new settings first, and then uses them."""

import asyncio
import gc
import logging
from collections.abc import Callable, Sequence
from typing import Any, Final

from gateway.app.gateway import Config, Gateway
from gateway.app.generations import Generation
from gateway.process import orders
from gateway.process.one_process import OneProcess, ReloadReport, RouteRow, StartUpError
from gateway.telemetry.event import about
from gateway.transcoding.transcoder import Transcoder

logger = logging.getLogger("gateway")

_CANNOT_READ: Final = "the new settings cannot be read"
_MOST_LINES: Final = 100
"""The most changes that the log names for one reload; the answer to the operator names all."""


class Reloader:
    """Reloads one gateway, for its operators or for the supervisor of its workers."""

    def __init__(
        self, gateway: Gateway, operations: OneProcess, read: Callable[[], Config] | None
    ) -> None:
        """Reads settings with `read`; None in a worker, which gets them from its supervisor."""
        gateway.generations.on_end = free_former
        self._gateway = gateway
        self._operations = operations
        self._read = read
        self._prepared: tuple[Generation, ReloadReport] | None = None
        self._admin: Any = None
        """The admin listener of the prepared settings; None if that stays."""
        self._is_closed = False
        self._one_at_a_time = asyncio.Lock()

    async def reload(self, *, dry_run: bool) -> ReloadReport:
        """Reads the settings again and uses them; with `dry_run`, only says what would change.

        Raises:
            StartUpError: the settings cannot be used; those before stay in force.
        """
        async with self._one_at_a_time:
            assert self._read is not None  # noqa: S101 - a worker gets other orders
            if self._is_closed:
                raise StartUpError("the gateway is ending")
            try:
                report = await self.prepare(await self._new_settings(self._read))
                if dry_run:
                    await self.discard()
                else:
                    await self.swap()
            except StartUpError:
                self._count("refused", dry_run=dry_run)
                raise
            return report

    async def _new_settings(self, read: Callable[[], Config]) -> Config:
        try:
            return await asyncio.to_thread(read)
        except StartUpError as error:
            log_refusal(str(error))
            raise
        except Exception:
            logger.exception(_CANNOT_READ)
            raise StartUpError(f"{_CANNOT_READ}: the log has the fault") from None

    def _count(self, outcome: str, *, dry_run: bool = False) -> None:
        """Counts a reload for the metrics, unless it was to change nothing."""
        if not dry_run:
            self._gateway.count_reload(outcome)

    async def prepare(
        self, config: Config, generation: int | None = None, *, compares: bool = True
    ) -> ReloadReport:
        """Composes what new settings describe, and puts nothing in force.

        `generation` is their number, if a supervisor counts; with `compares`, the report has the
        changes that break clients.

        Raises:
            StartUpError: the settings cannot be used, which is also logged.
        """
        await self.discard()
        generations = self._gateway.generations
        try:
            prepared = await generations.prepare(config, generation)
            await self._stage_admin(prepared)
        except StartUpError as error:
            log_refusal(str(error))
            raise
        except Exception:
            logger.exception("the new settings cannot be used")
            raise StartUpError("the new settings cannot be used: the log has the fault") from None
        try:
            report = await generations.report(prepared, compares=compares)
            why = prepared.config.reload.refusal(report.changes)
        except BaseException:
            self._discard_admin()
            await prepared.stack.aclose()
            raise
        if why:
            self._discard_admin()
            await prepared.stack.aclose()
            log_refusal(why)
            raise StartUpError(why)
        self._prepared = prepared, report
        return report

    async def obey(self, order: orders.ReloadOrder) -> orders.ReloadAnswer | None:
        """Obeys an order of the supervisor; returns the answer, if the order has one."""
        async with self._one_at_a_time:
            if isinstance(order, orders.Prepare):
                try:
                    report = await self.prepare(
                        order.config, order.generation, compares=order.compares
                    )
                except StartUpError as error:
                    self._count("refused", dry_run=order.dry_run)
                    return orders.Refused(str(error))
                return orders.Prepared(report, self._prepared_table())
            if isinstance(order, orders.Swap):
                await self.swap(logs_changes=order.logs_changes)
                return orders.Swapped()
            if isinstance(order, orders.Discard):
                await self.discard()
            elif isinstance(order, orders.LogReload):
                _log(order.report, logs_changes=True)
                self._count("applied")
            else:
                log_refusal(order.reason)
                self._count("refused", dry_run=order.dry_run)
            return None

    async def close(self) -> None:
        """Waits for a reload that is going on, and refuses further ones."""
        async with self._one_at_a_time:
            self._is_closed = True
            await self.discard()

    async def discard(self) -> None:
        """Closes what was prepared and not put in force."""
        if self._prepared is not None:
            prepared, self._prepared = self._prepared[0], None
            self._discard_admin()
            await prepared.stack.aclose()

    async def swap(self, *, logs_changes: bool = True) -> None:
        """Puts in force what was prepared, and logs it."""
        if self._prepared is None:
            return
        (prepared, report), self._prepared = self._prepared, None
        try:
            await self._gateway.generations.swap(prepared)
        except StartUpError as error:  # the new address was taken meanwhile
            self._discard_admin()
            log_refusal(str(error))
            raise
        operations = self._operations
        operations.config, operations.routes = self._gateway.config, self.routes()
        operations.generation, operations.url = prepared.number, self._gateway.url
        if operations.admin is not None:
            staged, self._admin = self._admin, None
            await operations.admin.use(operations.config, staged)
        operations.has_new_config()
        operations.set_level(operations.config.log.level)
        _log(report, logs_changes=logs_changes)
        if logs_changes:  # of several workers one counts
            self._count("applied")

    async def _stage_admin(self, prepared: Generation) -> None:
        """Opens the admin listener of prepared settings; closes them again if that fails."""
        if self._operations.admin is None:
            return
        try:
            self._admin = self._operations.admin.stage(prepared.config)
        except BaseException:
            await prepared.stack.aclose()
            raise

    def _discard_admin(self) -> None:
        """Closes the admin listener of settings that are not used."""
        staged, self._admin = self._admin, None
        if self._operations.admin is not None:
            self._operations.admin.discard(staged)

    def routes(self) -> Sequence[RouteRow]:
        """Returns the routes in force."""
        return _rows(self._gateway.transcoder)

    def _prepared_table(self) -> orders.Table:
        """Returns the routes that were prepared; none without an admin listener to show them."""
        if self._prepared is None or self._operations.config.admin.listen is None:
            return ()
        rows = _rows(self._prepared[0].opened.transcoder)
        return tuple((row.http_method, row.path, row.method) for row in rows)


def _rows(transcoder: Transcoder) -> Sequence[RouteRow]:
    return [
        RouteRow(binding.http_method, str(binding.template), binding.method.full_name)
        for binding in transcoder.bindings
    ]


def log_refusal(reason: str) -> None:
    """Logs the reasons why settings were refused, one event for each."""
    for line in reason.splitlines():
        fields = about("gateway.reload.refused")
        logger.error("the settings stay as they were: %s", line, extra=fields)


def free_former() -> None:
    """Frees the objects of former settings, which were exempt from garbage collection."""
    gc.unfreeze()
    gc.collect()
    gc.freeze()


def _log(report: ReloadReport, *, logs_changes: bool) -> None:
    fields = about("gateway.reloaded", gateway__config__generation=report.generation)
    logger.info("reloaded: %s", report, extra=fields)
    if not logs_changes:
        return
    for warning in report.warnings:
        logger.warning(warning.removeprefix("warning: "), extra=about("gateway.warning"))
    for line in report.settings:
        logger.info("%s", line, extra=about("gateway.reload.setting"))
    for line in report.changes[:_MOST_LINES]:
        is_finding = line.startswith("!")
        event = about("gateway.reload.finding" if is_finding else "gateway.reload.route")
        logger.log(logging.WARNING if is_finding else logging.INFO, "%s", line, extra=event)
    if len(report.changes) > _MOST_LINES:
        left_out = len(report.changes) - _MOST_LINES
        logger.info("and %d more changes", left_out, extra=about("gateway.reload.route"))
