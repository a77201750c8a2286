"""Loads the schema from all sources that the settings name."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace

from gateway.config.model import Config
from gateway.config.selectors import check_selector
from gateway.schema.catalog import Method, Schema, SchemaError, build_schema
from gateway.schema.drift import differences
from gateway.schema.service_config import read_service_configs
from gateway.schema.sources import DescriptorFiles
from gateway.schema.used_files import hash_of_files
from gateway.upstream.pool import Pool, check_services, claimants
from gateway.upstream.reflection import Reflected, ReflectionError, reflect


async def load_schema(
    config: Config, pool: Pool, *, comments: bool = False
) -> tuple[Schema, Mapping[str, str]]:
    """Loads the schema; also returns the upstream of each service found by reflection.

    With `comments`, the schema has those of the files.

    Raises:
        SchemaError: no source is given, or the sources contradict each other.
        SelectorError: a deadline or an upstream selects no method or service.
        ReflectionError: an upstream does not answer reflection, or does not serve what a split, a
            mirror or a fallback sends there.
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
    found = await _reflect(config, pool, files) if config.reflect else {}
    rules = read_service_configs(config.service_config)
    schema = build_schema(
        files.complete(),
        services=config.services,
        overrides=rules.http,
        system_parameters=rules.system_parameters,
        unannotated=config.routing.unannotated,
        skip_unmatched=config.routing.skips_errors,
        comments=comments,
    )
    check_services(config.upstreams, schema.declared)
    for number, rule in enumerate(config.deadlines.methods):
        check_selector(f"deadlines.methods[{number}].selector", rule.selector, schema.methods)
    owners: dict[str, str] = {}
    for name, one in found.items():
        owners = dict.fromkeys(one.services, name) | owners
    served = {name: one.services for name, one in found.items()}
    _check_ways(config, schema.methods.values(), served, owners)
    whole = {name: one.files for name, one in found.items()}
    return replace(schema, reflected=hash_of_files(whole)), owners


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


async def _reflect(config: Config, pool: Pool, files: DescriptorFiles) -> dict[str, Reflected]:
    """Adds the files of all upstreams; returns what each one says."""
    if not config.upstreams:
        raise ReflectionError("--reflect needs an --upstream to ask")
    by_upstream: dict[str, Reflected] = {}
    for name in config.upstreams:
        found = by_upstream[name] = await reflect(name, pool[name])
        files.add_serialized(found.files, f"upstream {name}")
    return by_upstream


def _check_ways(
    config: Config,
    methods: Collection[Method],
    served: Mapping[str, Collection[str]],
    owners: Mapping[str, str],
) -> None:
    """Refuses splits, mirrors and fallbacks that send calls to an upstream which does not serve
    their methods, as far as reflection has told.

    Raises:
        ReflectionError: there is one.
    """
    known = {service for services in served.values() for service in services}
    for where, upstream, services in _ways(config, methods, owners):
        missing = sorted((services & known).difference(served.get(upstream, ())))
        if missing:
            raise ReflectionError(
                f"{where}: {upstream} does not serve {', '.join(missing[:5])}: expected an "
                "upstream that serves all that may go there, or a selector of what it serves"
            )


def _ways(
    config: Config, methods: Collection[Method], owners: Mapping[str, str]
) -> Iterator[tuple[str, str, set[str]]]:
    """Yields the settings by which calls go to another upstream than that of their service, with
    the upstream and the services."""
    going: dict[str, set[str]] = {}
    for service in {one.service for one in methods}:
        for owner in claimants(config.upstreams, service, owners.get(service)):
            going.setdefault(owner, set()).add(service)
    for number, split in enumerate(config.splits):
        taken = {one.service for one in methods if split.takes(one.full_name)}
        for place, arm in enumerate(split.to):
            if arm.weight:
                yield f"splits[{number}].to[{place}].upstream", arm.upstream, taken
                going.setdefault(arm.upstream, set()).update(taken)
    for number, mirror in enumerate(config.mirrors):
        copied = [one for one in methods if one.may_be_copied and mirror.takes(one.full_name)]
        yield f"mirrors[{number}].to", mirror.to, {one.service for one in copied}
    for name, upstream in config.upstreams.items():
        if upstream.fallback is not None:
            yield f"upstreams.{name}.fallback", upstream.fallback, going.get(name, set())
