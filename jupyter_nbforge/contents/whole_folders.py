"""Renaming, copying and deleting a whole folder: everything below a prefix, nothing beside it.

How much that may be is checked before the first write.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tornado.web import HTTPError

from ..storage.errors import AlreadyExistsError, NotFoundError, PreconditionError
from ..storage.paths import as_prefix, parent_of
from ..storage.types import ObjectMeta
from ..storage.workers import Together
from . import folders, journal
from .checkpoints import checkpoints_prefix, moved_checkpoint
from .models import is_marker, join
from .progress import Progress
from .transfers import Job, Transfer, jobs_between

if TYPE_CHECKING:
    from .manager import NBForgeContentsManager


@dataclass(frozen=True, slots=True)
class _Move:
    """What is to be known before a folder is moved."""

    begun: set[str] | None
    """What was in it when this very move began earlier, if it was stopped; else None."""
    target: folders.Kind
    has_parent: bool
    """Whether there is a folder for the new name to be in."""
    objects: list[ObjectMeta]
    checkpoints: list[ObjectMeta]
    orphans: list[ObjectMeta]
    """Checkpoints below the new name."""


async def rename_folder(manager: NBForgeContentsManager, old: str, new: str) -> None:
    """Move a folder and the checkpoints below it; as `moving.rename_file`.

    What it is about is written down before the first copy, so that the same move asked for
    again is known to be the same and goes on where it stopped.
    """
    storage = manager.storage
    move = await _look(manager, old, new)
    await _check(manager, move, old, new)
    with manager.leaving(as_prefix(old)):
        if parent_of(old) != parent_of(new):
            await folders.keep_parent(storage, as_prefix(old), manager.all_leaving)
        if move.begun is None:
            await _begin(manager, move, old, new)
        try:
            await _move(manager, move, old, new)
        except PreconditionError:
            raise HTTPError(
                409, f"{old} was changed in the store while it was moved; move the rest again."
            ) from None
    await journal.end_move(storage, old, new)
    manager.known.forget(new)
    manager.forget_below(old)
    manager.forget_below(new)


async def _begin(manager: NBForgeContentsManager, move: _Move, old: str, new: str) -> None:
    if move.orphans:
        # Not once it has begun: what lies there may then be what it has moved. Of a name that
        # no folder has, the files of these checkpoints are long gone.
        await manager.storage.delete_many([meta.path for meta in move.orphans])
    skipped = len(as_prefix(old))
    paths = [meta.path[skipped:] for meta in move.objects]
    await journal.begin_move(manager.storage, old, new, paths)


async def _look(manager: NBForgeContentsManager, old: str, new: str) -> _Move:
    """Ask all at once, for that takes the time of one question."""
    storage, limit = manager.storage, manager.max_folder_objects
    old_checkpoints, new_checkpoints = map(_checkpoints_of, (old, new))
    async with Together() as together:
        begun = together.start(journal.begun_move(storage, old, new))
        target = together.start(folders.probe(storage, new))
        parent = together.start(folders.folder_exists(storage, parent_of(new)))
        objects = together.start(folders.list_below(storage, old, limit=limit))
        checkpoints = together.start(folders.list_below(storage, old_checkpoints))
        orphans = together.start(folders.list_below(storage, new_checkpoints))
    return _Move(
        begun.result(),
        target.result(),
        parent.result(),
        objects.result(),
        checkpoints.result(),
        orphans.result(),
    )


async def _check(manager: NBForgeContentsManager, move: _Move, old: str, new: str) -> None:
    """Refuse a target that is there, unless it is what this very move has left half done."""
    begun, target = move.begun, move.target
    resume = begun is not None and await folders.holds_only(manager.storage, new, begun)
    if not (resume and target.folder) and not move.objects:
        raise NotFoundError(f"File or directory does not exist: {old}", path=old)
    if target.file or (target.folder and not resume):
        raise HTTPError(409, f"File already exists: {new}")
    if new.startswith(as_prefix(old)):
        raise HTTPError(400, f"Cannot move {old!r} into itself")
    if not move.has_parent:
        raise HTTPError(404, f"No such directory: {parent_of(new)}")
    _check_count(manager, "rename", old, move.objects)
    checkpoints = _checkpoint_jobs(move.checkpoints, old, new)
    _check_lengths(manager, new, [*jobs_between(move.objects, old, new), *checkpoints])


async def _move(manager: NBForgeContentsManager, move: _Move, old: str, new: str) -> None:
    # Checkpoints first: what is deleted last is what shows that there is something to repeat.
    checkpoints = _checkpoint_jobs(move.checkpoints, old, new)
    jobs = [*checkpoints, *jobs_between(move.objects, old, new)]
    targets = [_checkpoints_of(new), new] if checkpoints else [new]
    everything = [job.meta for job in jobs]
    with Progress(manager.log, f"Moving {old!r} to {new!r}", everything) as progress:
        transfer = Transfer(manager.storage, manager.max_folder_concurrency, progress)
        stay = await transfer.move(jobs, targets)
    without_files = set(checkpoints)
    files = [job for job in stay if job not in without_files]
    if len(files) < len(stay):
        manager.log.warning("Checkpoints below %r did not all move along to %r", old, new)
    if files:
        names = ", ".join(repr(job.meta.path) for job in files[:3])
        raise AlreadyExistsError(
            f"{new!r} has other files of the same names as {names}: {len(files)} stay where they"
            " are. Rename or delete them there.",
            path=files[0].meta.path,
        )


def _checkpoints_of(folder: str) -> str:
    return checkpoints_prefix(folder).rstrip("/")


def _checkpoint_jobs(checkpoints: Sequence[ObjectMeta], old: str, new: str) -> list[Job]:
    """A checkpoint that moves carries its time in its name from then on."""
    jobs = jobs_between(checkpoints, _checkpoints_of(old), _checkpoints_of(new))
    return [
        # A store with real directories lists those of the checkpoints too.
        job
        if job.target.endswith("/")
        else Job(job.meta, join(parent_of(job.target), moved_checkpoint(job.meta)))
        for job in jobs
    ]


async def objects_to_copy(manager: NBForgeContentsManager, folder: str) -> list[ObjectMeta]:
    """All that is in a folder, if it may be copied."""
    limit = manager.max_folder_objects
    objects = await folders.list_below(manager.storage, folder, limit=limit)
    _check_count(manager, "copy", folder, objects)
    _check_size(manager, folder, objects)
    return objects


async def copy_objects(
    manager: NBForgeContentsManager, objects: Sequence[ObjectMeta], source: str, target: str
) -> None:
    """Copy the objects of folder `source` to a name that nothing has yet; no checkpoints.

    `AlreadyExistsError` if somebody else takes the name at the same moment.
    """
    jobs = [job for job in jobs_between(objects, source, target) if job.target != as_prefix(target)]
    _check_lengths(manager, target, jobs)
    if await folders.make_marker(manager.storage, target) is None:
        raise AlreadyExistsError(f"{target!r} exists already.", path=target)
    with Progress(manager.log, f"Copying {source!r} to {target!r}", objects) as progress:
        transfer = Transfer(manager.storage, manager.max_folder_concurrency, progress)
        stay = await transfer.copy(jobs)
    if stay:
        raise HTTPError(409, f"{target} was made by somebody else; it has not all been copied.")


async def delete_folder(manager: NBForgeContentsManager, path: str) -> None:
    """Delete a folder that is empty, or any where that is configured, with its checkpoints."""
    storage, limit = manager.storage, manager.max_folder_objects
    only = None if manager.always_delete_dir else _is_empty_marker
    objects = await folders.list_below(storage, path, limit=limit, only=only)
    if only is not None and not all(map(only, objects)):
        raise HTTPError(400, f"Directory {path} not empty")
    _check_count(manager, "delete", path, objects)
    with manager.leaving(as_prefix(path)):
        async with Together() as together:
            checkpoints = together.start(folders.list_below(storage, _checkpoints_of(path)))
            together.start(folders.keep_parent(storage, as_prefix(path), manager.all_leaving))
        everything = [*checkpoints.result(), *objects]
        with Progress(manager.log, f"Deleting {path!r}", everything) as progress:
            transfer = Transfer(storage, manager.max_folder_concurrency, progress)
            # What somebody saves while this is under way was never meant.
            versions = {meta.path: meta.version for meta in objects if not is_marker(meta.path)}
            try:
                await transfer.delete([meta.path for meta in everything], versions)
            except PreconditionError:
                raise HTTPError(
                    409,
                    f"{path} was changed in the store while it was deleted; what was changed is"
                    " still there. Delete it again if that is to go too.",
                ) from None
    manager.forget_below(path)


def _is_empty_marker(meta: ObjectMeta) -> bool:
    return is_marker(meta.path) and not meta.size


def _check_count(
    manager: NBForgeContentsManager, action: str, path: str, objects: Sequence[ObjectMeta]
) -> None:
    """400 for a folder of more objects than may be touched; the count may have ended early."""
    limit = manager.max_folder_objects
    if 0 < limit < len(objects):
        raise HTTPError(
            400,
            f"Can't {action} folders of more than {limit} objects; {path!r} has {len(objects)} or"
            " more (see max_folder_objects).",
        )


def _check_lengths(manager: NBForgeContentsManager, new: str, jobs: Sequence[Job]) -> None:
    """400 if the storage could not take a path: half of the folder would be in its new place."""
    limit = manager.storage.capabilities_at(new).max_path_bytes
    for target in (job.target for job in jobs):
        # A character has four bytes at most: most paths need not be encoded.
        if len(target) * 4 > limit < len(target.encode()):
            raise HTTPError(
                400,
                f"{target!r} would be too long: this storage takes at most {limit} bytes. Choose"
                " a shorter name.",
            )


def _check_size(manager: NBForgeContentsManager, path: str, objects: Sequence[ObjectMeta]) -> None:
    """400 for a folder that is larger than may be copied at once."""
    size = sum(meta.size for meta in objects)
    limit = manager.max_copy_folder_size_mb
    if size > limit * 2**20:
        raise HTTPError(
            400,
            f"Can't copy folders larger than {limit} MiB; {path!r} has {size / 2**20:.1f} MiB"
            " (see max_copy_folder_size_mb).",
        )
