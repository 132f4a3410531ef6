"""``jupyter nbforge copy``: from what was typed to a copy, and what it has to say."""

from __future__ import annotations

import argparse
import asyncio
import os
from contextlib import AsyncExitStack, aclosing

from traitlets.config import Config

from ..copying.engine import Copier, below_prefix
from ..copying.types import CopyOptions, SameStore, Summary
from ..storage.base import BaseStorageService
from ..storage.factory import create_storage_service
from .copy_display import Display, print_summary
from .ends import Address, find_source, find_target, made_folder, parse_address, with_options
from .errors import CommandError


def run_copy(known: argparse.Namespace, config: Config) -> int:
    """Copy; returns the exit status."""
    source = parse_address(
        known.source, with_options(config, known.source_config, known.source_option)
    )
    target = parse_address(
        known.target, with_options(config, known.target_config, known.target_option)
    )
    by_url = not (source.on_disk or target.on_disk)
    options = CopyOptions(
        overwrite=known.overwrite,
        concurrency=known.concurrency,
        dry_run=known.dry_run,
        checkpoints=by_url if known.checkpoints is None else known.checkpoints,
        include=tuple(known.include),
        exclude=tuple(known.exclude),
    )
    with Display(dry_run=options.dry_run) as display:
        summary = asyncio.run(_copy(source, target, options, display))
    print_summary(summary, display.seconds, dry_run=options.dry_run)
    return 0 if summary.complete else 1


async def _copy(
    source: Address, target: Address, options: CopyOptions, display: Display
) -> Summary:
    async with AsyncExitStack() as opened:
        found = await find_source(source)
        await opened.enter_async_context(aclosing(found.storage))
        if found.path:
            place, path = await find_target(target, found.path)
        else:
            source, place, path = source.whole, target.whole, ""
        _refuse_on_disk(source, place, found.path, path)
        storage = await opened.enter_async_context(aclosing(_target(place, options)))
        same = None
        if _is_same_store(source, place):
            same = await _same_store(source, found.storage, storage, opened)
            _refuse(source, place, same.source + found.path, same.target + path)
        copier = Copier(found.storage, storage, options, display, same=same)
        return await (copier.copy_object(found.path, path) if path else copier.copy_tree())


def _target(place: Address, options: CopyOptions) -> BaseStorageService:
    """The storage of the target, made if it is a folder of a disk; a dry run makes nothing."""
    if place.on_disk and options.dry_run and not os.path.isdir(place.folder):
        return create_storage_service("memory://", environ={})
    made_folder(place)
    return place.open()


def _is_same_store(source: Address, target: Address) -> bool:
    """Whether both ends are one container with one set of options: it then copies by itself."""
    if source.on_disk or target.on_disk or source.container.startswith("memory:"):
        return False
    return source.container == target.container and source.config == target.config


async def _same_store(
    source: Address, one: BaseStorageService, other: BaseStorageService, opened: AsyncExitStack
) -> SameStore:
    # Not the storage of an end: neither may leave its prefix.
    whole = create_storage_service(source.container, config=source.config, prefix="")
    await opened.enter_async_context(aclosing(whole))
    return SameStore(whole, below_prefix(one)[1], below_prefix(other)[1])


def _refuse_on_disk(source: Address, target: Address, path: str, target_path: str) -> None:
    if source.on_disk and target.on_disk:
        one, other = os.path.realpath(source.folder) + "/", os.path.realpath(target.folder) + "/"
        _refuse(source, target, one + path, other + target_path)


def _refuse(source: Address, target: Address, key: str, target_key: str) -> None:
    """`CommandError` for a copy onto itself, or of a folder into itself: it would never end."""
    if key == target_key:
        raise CommandError(f"{source.text} and {target.text} are the same.")
    if target_key.startswith(key) and (not key or key.endswith("/")):
        raise CommandError(
            f"DST lies in SRC ({target.text} in {source.text}); choose a folder outside it."
        )
