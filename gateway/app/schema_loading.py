"""Loads the schema from all sources that the settings name."""

from collections.abc import Mapping
from dataclasses import replace

from gateway.config.model import Config
from gateway.config.routing import OnError
from gateway.config.selectors import check_selector
from gateway.schema.catalog import Schema, SchemaError, build_schema
from gateway.schema.drift import differences
from gateway.schema.service_config import read_service_configs
from gateway.schema.sources import DescriptorFiles
from gateway.schema.used_files import hash_of_files
from gateway.upstream.pool import Pool, check_services, claimants
from gateway.upstream.reflection import ReflectionError, reflect


async def load_schema(
    config: Config, pool: Pool, *, comments: bool = False
) -> tuple[Schema, Mapping[str, str]]:
    """Loads the schema; also returns the upstream of each service found by reflection.

    With `comments`, the schema has those of the files.

    Raises:
        SchemaError: no source is given, or the sources contradict each other.
        SelectorError: a deadline or an upstream selects no method or service.
        ReflectionError: an upstream does not answer reflection.
    """
    if not (config.descriptors or config.modules or config.reflect):
        raise SchemaError(
            "there is no schema: give --descriptors FILE, --module PACKAGE or --reflect"
        )
    files = DescriptorFiles()
    for path in config.descriptors:
        files.add_set(path)
    for module in config.modules:
        files.add_module(module)
    reflected, found = await _reflect(config, pool, files) if config.reflect else ({}, {})
    rules = read_service_configs(config.service_config)
    schema = build_schema(
        files.complete(),
        services=config.services,
        overrides=rules.http,
        system_parameters=rules.system_parameters,
        unannotated=config.routing.unannotated,
        skip_unmatched=config.routing.on_error is OnError.SKIP,
        comments=comments,
    )
    check_services(config.upstreams, schema.declared)
    for number, rule in enumerate(config.deadlines.methods):
        check_selector(f"deadlines.methods[{number}].selector", rule.selector, schema.methods)
    return replace(schema, reflected=hash_of_files(found)), reflected


async def drift(config: Config, pool: Pool, schema: Schema, name: str) -> list[str]:
    """Returns how the back end of an upstream differs from the schema, by its own reflection.

    Raises:
        NoReflectionError: the upstream offers no reflection.
        ReflectionError: it does not answer.
        SchemaError: its descriptors do not fit together.
    """
    found = await reflect(name, pool[name])
    files = DescriptorFiles()
    files.add_serialized(found.files, f"upstream {name}")
    theirs = build_schema(files.complete(), unannotated=True)
    ours = [
        method
        for method in schema.methods.values()
        if claimants(config.upstreams, method.service) == [name]
    ]
    return list(differences(ours, theirs.methods))


async def hash_reflected(config: Config, pool: Pool) -> bytes:
    """Asks the upstreams what they serve now; returns what `Schema.reflected` would be.

    Raises:
        ReflectionError: an upstream does not answer reflection.
    """
    found = {name: (await reflect(name, pool[name])).files for name in config.upstreams}
    return hash_of_files(found)


async def _reflect(
    config: Config, pool: Pool, files: DescriptorFiles
) -> tuple[dict[str, str], dict[str, tuple[bytes, ...]]]:
    """Adds the files of all upstreams; returns the owners of services, and the files."""
    if not config.upstreams:
        raise ReflectionError("--reflect needs an --upstream to ask")
    owners: dict[str, str] = {}
    by_upstream: dict[str, tuple[bytes, ...]] = {}
    for name in config.upstreams:
        found = await reflect(name, pool[name])
        files.add_serialized(found.files, f"upstream {name}")
        by_upstream[name] = found.files
        for service in found.services:
            owners.setdefault(service, name)
    return owners, by_upstream
