"""Examines what the machine gives the gateway: files, processors, the clock, compiled code."""

import os
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from typing import Final

from gateway.app.file_limit import fit_connections, raise_file_limit
from gateway.cli.doctor.clock import examine_clock
from gateway.cli.doctor.finding import Finding, fail, ok, warn
from gateway.config.model import Config
from gateway.process.cpus import usable_cpus
from gateway.transcoding.json.native import codec_name

_ENDING_S: Final = 10.0
"""The time that the supervisor gives its workers beyond `drain.grace_s`."""
_IN_CLUSTER: Final = "KUBERNETES_SERVICE_HOST"
"""Kubernetes sets this variable in every container."""
GRACE_PERIOD: Final = "TERMINATION_GRACE_PERIOD_S"
"""The variable in which the manifests of this project repeat terminationGracePeriodSeconds."""


def examine_machine(config: Config) -> Iterator[Finding]:
    """Yields the findings about this machine."""
    yield _files(config)
    yield _processors(config)
    yield from _drain(config, os.environ)
    yield examine_clock()
    yield from _builds()


def _files(config: Config) -> Finding:
    raise_file_limit()  # of this process, as the gateway does at its start
    _, warnings = fit_connections(config)
    if not warnings:
        return ok("open files", f"enough for {config.limits.connections} connections")
    return warn(
        "open files",
        warnings[0].removeprefix("warning: "),
        "raise the hard limit (LimitNOFILE= of systemd, ulimit -Hn), or lower limits.connections",
    )


def _processors(config: Config) -> Finding:
    cpus = usable_cpus()
    workers = config.workers or cpus
    text = f"workers: {workers}, usable processors: {cpus}"
    if workers > cpus:
        advice = "set workers: 0, which follows the affinity and the quota (cpu.max)"
        return warn("processors", text, advice)
    if config.workers == 1 and not config.supervisor.always:
        text += (
            "; no supervisor: if it dies or hangs, the service manager or the container platform "
            "must start it again (or set supervisor.always)"
        )
    return ok("processors", text)


def _drain(config: Config, environment: Mapping[str, str]) -> Iterator[Finding]:
    """Yields whether the drain ends before Kubernetes kills the pod; nothing elsewhere.

    A pod cannot see its own terminationGracePeriodSeconds, so its manifest repeats it.
    """
    if _IN_CLUSTER not in environment:
        return
    options = config.drain
    needed_s = options.delay_s + options.grace_s + _ENDING_S
    text = f"takes up to {needed_s:g} s (drain.delay_s + drain.grace_s + {_ENDING_S:g} s)"
    given = environment.get(GRACE_PERIOD, "")
    if not (given.isascii() and given.isdigit()):
        advice = f"set {GRACE_PERIOD} in the pod to terminationGracePeriodSeconds less its preStop"
        yield warn("drain", f"{text}; the time until the pod is killed is not known", advice)
    elif int(given) < needed_s:
        text += f", and the pod is killed after {given} s"
        advice = "raise terminationGracePeriodSeconds, or lower drain.grace_s"
        yield fail("drain", text, advice)
    else:
        yield ok("drain", f"{text}, and the pod has {given} s")


def _builds() -> Iterator[Finding]:
    module = find_spec("gateway.call")  # compiled if any module is
    if module is None or str(module.origin).endswith(".py"):
        yield warn(
            "machine code",
            "the modules of each request run as Python, at about twice the processor time",
            "install the wheel for this platform, or build one: make wheel",
        )
    else:
        yield ok("machine code", "the modules of each request are compiled")
    codec = codec_name()
    if codec == "Rust":
        yield ok("JSON codec", "the native one")
    else:
        advice = "install a wheel that has the native codec, or build it: make native"
        yield warn("JSON codec", f"the one in {codec}", advice)
    if find_spec("uvloop") is None:
        yield warn("event loop", "asyncio's own", "install uvloop, which needs less time")
    else:
        yield ok("event loop", "uvloop")
