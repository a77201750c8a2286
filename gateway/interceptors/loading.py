"""Finds, makes and opens the custom interceptors that the settings name, at start-up."""

from collections.abc import Iterable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from inspect import isawaitable, signature
from typing import Any

from gateway.call import Call, Handler, Interceptor, Method, Reply
from gateway.config.extensions import InterceptorOptions
from gateway.config.selectors import StartUpError, complaint, matches
from gateway.telemetry.metrics.metrics import Metrics
from gateway.telemetry.metrics.own_metrics import InterceptorMetrics

GROUP = "gateway.interceptors"
"""The group of entry points by which a distribution offers interceptors."""


class InterceptorError(StartUpError):
    """An interceptor cannot be used; the message has the setting that names it and the reason."""


@dataclass(frozen=True, slots=True)
class SelectedInterceptor:
    """An interceptor and the methods whose calls pass it."""

    interceptor: Interceptor
    selector: str = "*"

    def stands_before(self, method: Method) -> bool:
        """True if calls of `method` pass it."""
        return matches(self.selector, method.full_name)


async def load_interceptors(
    settings: Sequence[InterceptorOptions],
    methods: Iterable[Method] | None,
    stack: AsyncExitStack | None,
) -> list[SelectedInterceptor]:
    """Makes the interceptors of the settings, in order; `stack` enters async context managers.

    Without a stack none is entered, and without methods selectors may name any: for checks of the
    settings alone.

    Raises:
        InterceptorError: one cannot be found or made, or its selector selects no method.
    """
    names = None if methods is None else [method.full_name for method in methods]
    loaded = []
    for number, options in enumerate(settings):
        where = f"interceptors[{number}]"
        reason = None if names is None else complaint(options.selector, names)
        if reason is not None:
            raise InterceptorError(f"{where}.selector: {reason}")
        made = _make(options, where)
        if isinstance(made, AbstractAsyncContextManager):
            if stack is None:
                continue  # its interceptor exists only after it is entered
            made = await stack.enter_async_context(made)
        _check(made, f"{where}: the object made by {options.use}")
        loaded.append(SelectedInterceptor(made, options.selector))
    return loaded


def with_metrics(
    selected: Sequence[SelectedInterceptor],
    more: Iterable[Interceptor],
    metrics: Metrics | None,
) -> list[SelectedInterceptor]:
    """Returns all interceptors, of which those with `use_metrics` have registered what they count.

    Without `metrics`, nothing is counted: they are off, or this is a check of the settings.

    Raises:
        InterceptorError: one of `more` cannot be called, or one cannot register what it counts.
    """
    joined = [*selected, *map(SelectedInterceptor, more)]
    for one in joined[len(selected) :]:
        _check(one.interceptor, f"interceptors: {one.interceptor!r}")
    handle = InterceptorMetrics(None if metrics is None else metrics.writer)
    for one in joined:
        use = getattr(one.interceptor, "use_metrics", None)
        if callable(use):
            try:
                use(handle)
            except Exception as error:
                name = type(one.interceptor).__name__
                raise InterceptorError(f"{name}.use_metrics failed: {error}") from error
    return [SelectedInterceptor(_answering(one.interceptor), one.selector) for one in joined]


def _answering(interceptor: Interceptor) -> Interceptor:
    """Returns an interceptor that fails, with its name, if it returns something else than a reply.

    All that stands before it relies on a reply: a stream without one would have no end.
    """

    name = getattr(interceptor, "__name__", type(interceptor).__name__)

    async def answer(call: Call, proceed: Handler) -> Reply:
        reply: Any = interceptor(call, proceed)
        if isawaitable(reply):
            reply = await reply
        if not isinstance(reply, Reply):
            raise TypeError(
                f"the interceptor {name} returned {type(reply).__name__}; "
                "expected a Reply, such as `return await proceed(call)`"
            )
        return reply

    answer.__name__ = name
    return answer


def _make(options: InterceptorOptions, where: str) -> Any:
    factory = _named(options.use, where) if ":" in options.use else _offered(options.use, where)
    if not callable(factory):
        raise InterceptorError(f"{where}.use: {options.use} is no class")
    try:
        signature(factory).bind(**options.options)
    except TypeError as error:
        raise InterceptorError(
            f"{where}.options: {options.use} does not take these: {error}"
        ) from None
    except ValueError:
        pass  # some classes in C have no signature
    try:
        return factory(**options.options)
    except (Exception, SystemExit) as error:  # code of the program's own may end the process
        why = f"{type(error).__name__}: {error}"
        raise InterceptorError(f"{where}: {options.use} cannot be made: {why}") from error


def _named(use: str, where: str) -> Any:
    module, _, name = use.partition(":")
    try:
        found: Any = import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not (module == error.name or module.startswith(f"{error.name}.")):
            raise InterceptorError(f"{where}.use: {module} needs {error.name}") from error
        raise InterceptorError(
            f"{where}.use: there is no module {error.name}: "
            "is it in the working directory, or installed beside the gateway?"
        ) from None
    except (Exception, SystemExit) as error:  # code of the program's own may end the process
        why = f"{type(error).__name__}: {error}"
        raise InterceptorError(f"{where}.use: {module} cannot be imported: {why}") from error
    try:
        for part in name.split("."):
            found = getattr(found, part)
    except AttributeError:
        raise InterceptorError(f"{where}.use: {module} has no {name}") from None
    return found


def _offered(name: str, where: str) -> Any:
    offered = {point.name: point for point in entry_points(group=GROUP)}
    if name not in offered:
        known = ", ".join(sorted(offered)) or "none"
        raise InterceptorError(
            f"{where}.use: no installed package offers an interceptor called {name} "
            f"(available: {known}); expected one of those names, or package.module:Class"
        )
    try:
        return offered[name].load()
    except (Exception, SystemExit) as error:  # code of the program's own may end the process
        why = f"{type(error).__name__}: {error}"
        raise InterceptorError(f"{where}.use: {name} cannot be imported: {why}") from error


def _check(made: Any, what: str) -> None:
    if isinstance(made, type):
        raise InterceptorError(f"{what} is a class: pass an object of it")
    if not callable(made):
        raise InterceptorError(f"{what} cannot be called: give it async __call__(call, proceed)")
    try:
        signature(made).bind(None, None)
    except TypeError:
        raise InterceptorError(f"{what} must take two arguments: (call, proceed)") from None
