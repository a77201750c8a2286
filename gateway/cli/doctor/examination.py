"""All examinations, in the order of the report."""

from collections.abc import Collection, Sequence

from gateway.cli.doctor.addresses import examine_addresses
from gateway.cli.doctor.finding import Finding
from gateway.cli.doctor.machine import examine_machine
from gateway.cli.doctor.proxies import examine_proxies
from gateway.cli.doctor.reached import examine_reached
from gateway.cli.doctor.secrets import examine_secrets
from gateway.config.model import Config
from gateway.process.event_loop import run


def examine(config: Config, given: Collection[str] = ()) -> Sequence[Finding]:
    """Returns all findings; takes about ten seconds at most, and changes nothing.

    `given` has the settings for whose addresses this process was given sockets.
    """
    return [
        *run(examine_reached(config)),
        *examine_addresses(config, given),
        examine_proxies(config.forwarded.trusted_proxies),
        *examine_secrets(config),
        *examine_machine(config),
    ]
