"""All examinations, in the order of the report."""

from collections.abc import Sequence

from gateway.cli.doctor.addresses import examine_addresses
from gateway.cli.doctor.finding import Finding
from gateway.cli.doctor.machine import examine_machine
from gateway.cli.doctor.reached import examine_reached
from gateway.cli.doctor.secrets import examine_secrets
from gateway.config.model import Config
from gateway.process.serve import run


def examine(config: Config) -> Sequence[Finding]:
    """Returns all findings; takes about ten seconds at most, and changes nothing."""
    return [
        *run(examine_reached(config)),
        *examine_addresses(config),
        *examine_secrets(config),
        *examine_machine(config),
    ]
