"""The contents manager: Jupyter's gestures, orchestrated on a storage."""

from __future__ import annotations

import asyncio
import posixpath
import reprlib
from collections.abc import Container, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

from nbformat.v4 import new_notebook
from tornado.web import HTTPError

from ..storage.base import Recalled
from ..storage.errors import (
    AlreadyExistsError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    StorageError,
)
from ..storage.paths import name_of, parent_of
from ..storage.types import IfAbsent, WriteCondition
from . import folders, moving
from .checkpoints import NBForgeCheckpoints
from .chunks import save_chunk
from .configured import ConfiguredContentsManager
from .conflicts import conflict, deleted, is_upload
from .derived import Existence, put_right
from .errors import http_error, http_errors
from .free_names import create_free
from .knowledge import Looked
from .models import (
    Model,
    api_path,
    file_model,
    free_name,
    is_hidden_path,
    join,
    object_type,
)
from .moving import AmbiguousNameError
from .reading import read_model
from .saving import check_model, ensure_checkpoint, save_model
from .trust import sign_if_trusted
from .uploads import LAST_CHUNK
from .whole_folders import delete_folder


class NBForgeContentsManager(ConfiguredContentsManager):
    """Notebooks and files in an object store, as if they were on a local disk.

    It remembers, per path, what it last showed to a client or took from one, and saves
    only over that: a save that would undo somebody else's is a 409.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        put_right(cls)

    def forget_below(self, folder: str) -> None:
        """A folder is gone from its place: forget what was known of its files."""
        self.known.forget_below(folder)
        if isinstance(self.checkpoints, NBForgeCheckpoints):
            self.checkpoints.forget_below(folder)

    @contextmanager
    def leaving(self, path: str) -> Iterator[None]:
        """While inside, `path` is about to go away: it is no reason for its folder to stay."""
        self._leaving[path] += 1
        try:
            yield
        finally:
            self._leaving[path] -= 1

    @property
    def all_leaving(self) -> Container[str]:
        """What is about to go away, as a JupyterLab that deletes a selection asks at once."""
        return {path for path, count in self._leaving.items() if count > 0}

    def _condition(self, path: str) -> WriteCondition | None:
        condition = self.known.condition(path)
        if condition is None and self.storage.recall(path) is False:
            return IfAbsent()
        return condition

    def _refuse_hidden(self, action: str, *paths: str) -> None:
        if not self.allow_hidden and any(is_hidden_path(path) for path in paths):
            raise HTTPError(400, f"Cannot {action} file or directory {paths[0]!r}")

    # Questions

    async def is_hidden(self, path: str) -> bool:
        """Whether any part of the path begins with a dot; no request is made."""
        return is_hidden_path(api_path(path))

    async def file_exists(self, path: str = "") -> bool:
        """Whether a file is at the path. A name without a dot is first looked up as a folder.

        Of a path that no client was shown yet, one listing of its folder tells that, and what
        is asked next (a folder of that name? the folder itself?), of it and of its neighbours.
        """
        path = api_path(path)
        if not path:
            return False
        if self.uploads.is_running(path):
            return True  # as good as there: the question comes before each of its chunks
        with http_errors():
            found = await self._look_for_file(path)
        self.known.note_look(path, found)
        return bool(found)

    async def _look_for_file(self, path: str) -> Looked:
        recalled: Looked | None = self.storage.recall(path)
        if recalled is not None:
            return recalled
        likely_folder = "." not in name_of(path)
        if likely_folder and await folders.names_in(self.storage, path) is not None:
            return False
        if self.known.shown(path) is None:
            recalled = await self.look_around(parent_of(path), path)
            if recalled is not None:
                return recalled
        try:
            found: Looked = await self.storage.head(path)
        except NotFoundError:
            return False
        return found

    async def look_around(self, folder: str, path: str) -> Recalled:
        """What one listing of its folder tells of a path; None where the folder is too large."""
        if self.known.is_large(folder):
            return None
        if not await folders.look_around(self.storage, folder):
            self.known.note_large(folder)
        recalled: Recalled = self.storage.recall(path)
        return recalled

    async def dir_exists(self, path: str) -> bool:
        """Whether a folder is at the path."""
        with http_errors():
            return await folders.folder_exists(self.storage, api_path(path))

    def exists(self, path: str) -> Existence:  # type: ignore[override] # awaited all the same
        """Whether a file or a folder is at the path; to be awaited."""
        path = api_path(path)
        seen = bool(self.storage.recall(path) or self.known.shown(path))
        return Existence(path, seen, partial(self._exists, path))

    async def _exists(self, path: str) -> bool:
        with http_errors():
            if not path:
                return True
            kind = await folders.probe(self.storage, path)
            return kind.file or kind.folder

    async def resolve_path(self, path: str) -> str | None:
        """`path`, relative or absolute within the root, as an API path if something is there."""
        try:
            resolved = api_path(posixpath.normpath(path.lstrip("/")))
            return resolved if await self.exists(resolved) else None
        except HTTPError:
            return None

    async def get_kernel_path(self, path: str, model: Model | None = None) -> str:
        """The folder of the notebook. Kernels run on the server's disk, in the nearest folder
        of that path which exists there."""
        try:
            path = api_path(path)
        except HTTPError:
            return ""
        return path if "." not in name_of(path) else parent_of(path)

    # Reading and writing

    async def get(
        self,
        path: str,
        content: bool = True,
        type: str | None = None,  # noqa: A002 - Jupyter's names
        format: str | None = None,  # noqa: A002
        require_hash: bool = False,
    ) -> Model:
        """The model of a file, notebook or folder."""
        path = api_path(path)
        if not self.allow_hidden and is_hidden_path(path):
            self.log.info("Refusing to serve hidden file or directory %r, via 404 Error", path)
            raise HTTPError(404, f"file or directory does not exist: {path!r}")
        with http_errors():
            model = await read_model(
                self,
                path,
                content=bool(content),
                type=type,
                format=format,
                require_hash=bool(require_hash),
            )
        self.writability.mark(model)
        self.emit(data={"action": "get", "path": path})
        return model

    async def save(self, model: Model, path: str = "") -> Model:
        """Save a model, or one chunk of an upload; returns the model without content."""
        path = api_path(path)
        self.known.take_saved(path)  # however this ends, the next look is about this one
        if self.known.take_vanished(path) and not is_upload(model):
            raise deleted(path)
        # What is known of a file says nothing of a folder, and to make one again is no error.
        condition = None if model.get("type") == "directory" else self._condition(path)
        try:
            saved = await self._save(model, path, condition)
        except (AlreadyExistsError, PreconditionError) as error:
            raise await conflict(self, model, path, error) from error
        except StorageError as error:
            if isinstance(error, PermissionDeniedError):
                self.writability.refuse(path)
            raise http_error(error) from error
        self.writability.allow(path)
        if model.get("chunk") is None:
            self.known.note_saved(path)
        return saved

    async def _save(
        self,
        model: Model,
        path: str,
        condition: WriteCondition | None,
        *,
        with_checkpoint: bool = True,
    ) -> Model:
        chunk = model.get("chunk")
        if chunk is None or chunk == 1:
            self.run_pre_save_hooks(model=model, path=path)
        check_model(model, path)
        self._refuse_hidden("create", path)
        self.writability.check(path)
        if chunk is None:
            saved = await save_model(self, model, path, condition)
        else:
            saved = await save_chunk(self, model, path, condition)
        if model["type"] == "notebook" and with_checkpoint:
            await ensure_checkpoint(self, path)
        self.emit(data={"action": "get", "path": path})
        if chunk is None or chunk == LAST_CHUNK:
            self.run_post_save_hooks(model=saved, os_path=path)
        self.emit(data={"action": "save", "path": path})
        return saved

    async def new_untitled(self, path: str = "", type: str = "", ext: str = "") -> Model:  # noqa: A002
        """Create an untitled file, notebook or folder under the first name that is free."""
        path = api_path(path)
        ext = ext or ""
        if not isinstance(ext, str) or "/" in ext:
            raise HTTPError(400, f"Not an extension of a file name: {reprlib.repr(ext)}")
        kind = type or ("notebook" if ext == ".ipynb" else "file")
        if kind not in ("directory", "notebook", "file"):
            raise HTTPError(400, f"Unexpected model type: {kind!r}")
        filename, insert = {
            "directory": (self.untitled_directory + ext, " "),
            "notebook": (self.untitled_notebook + ".ipynb", ""),
            "file": (self.untitled_file + ext, ""),
        }[kind]
        with http_errors():
            taken = await folders.names_in(self.storage, path)
            if taken is None:
                raise HTTPError(404, f"No such directory: {path}")
            return await create_free(
                filename, taken, insert, lambda name: self._create(kind, join(path, name))
            )

    async def new(self, model: Model | None = None, path: str = "") -> Model:
        """Create what is not there; of a path that no client has seen nothing is overwritten."""
        self.known.note_look(api_path(path), False)
        created: Model = await super().new(model, path)  # type: ignore[no-untyped-call] # Jupyter's
        return created

    async def _create(self, kind: str, path: str) -> Model:
        """Create something empty where nothing is; the first checkpoint waits for a real save."""
        model: Model = {"type": kind}
        if kind == "notebook":
            model |= {"content": new_notebook(), "format": "json"}
        elif kind == "file":
            model |= {"content": "", "format": "text"}
        created = await self._save(model, path, IfAbsent(), with_checkpoint=False)
        if isinstance(self.checkpoints, NBForgeCheckpoints):
            self.checkpoints.none_yet(path)
        return created

    async def increment_filename(self, filename: str, path: str = "", insert: str = "") -> str:
        """The first free variant of a name in a folder, by one listing."""
        with http_errors():
            taken = await folders.names_in(self.storage, api_path(path))
        return free_name(filename, taken or (), insert)

    # Deleting, moving, copying

    async def delete_file(self, path: str) -> None:
        """Delete a file, or a folder that is empty or may be deleted whole."""
        path = api_path(path)
        self._refuse_hidden("delete", path)
        if not path:
            raise HTTPError(400, "Can't delete root")
        self.writability.check_removal(path)
        with http_errors():
            kind = await folders.probe(self.storage, path)
            if kind.file and kind.folder:
                raise AmbiguousNameError(path)
            if kind.file:
                with self.leaving(path):
                    await folders.keep_parent(self.storage, path, self.all_leaving)
                    await self.storage.delete(path)
            elif kind.folder:
                await delete_folder(self, path)
            else:
                raise HTTPError(404, f"File or directory does not exist: {path}")
        self.known.forget(path)

    async def rename_file(self, old_path: str, new_path: str) -> None:
        """Move a file or a folder, with its checkpoints. Nothing is overwritten."""
        old, new = api_path(old_path), api_path(new_path)
        if old == new:
            return
        self._refuse_hidden("rename", old, new)
        if not old or not new:
            raise HTTPError(400, f"Cannot rename {old!r} to {new!r}")
        self.writability.check_removal(old)
        self.writability.check(new)
        with http_errors():
            await moving.rename_file(self, old, new)

    async def rename(self, old_path: str, new_path: str) -> None:
        """Rename a file or a folder; our own checkpoints have moved along with it."""
        await self.rename_file(old_path, new_path)
        if not isinstance(self.checkpoints, NBForgeCheckpoints):
            await self.checkpoints.rename_all_checkpoints(old_path, new_path)
        self.emit(data={"action": "rename", "path": new_path, "source_path": old_path})

    async def update(self, model: Model, path: str) -> Model:
        """Rename to the model's path, and answer with the model there, its hash included."""
        path = api_path(path)
        new_path = api_path(model.get("path", path))
        if path == new_path:
            return await self.get(path, content=False)
        await self.rename(path, new_path)
        # What others derive from us may have another hash for it than we.
        ours = type(self).get is NBForgeContentsManager.get
        meta = self.known.shown(new_path) if ours else None
        if meta is None:
            return await self.get(new_path, content=False, require_hash=not ours)
        self.emit(data={"action": "get", "path": new_path})
        return file_model(meta, object_type(new_path), with_hash=True)

    async def copy(self, from_path: str, to_path: str | None = None) -> Model:
        """Copy a file or folder on the store's side; returns the new model."""
        source = api_path(from_path)
        target = None if to_path is None else api_path(to_path)
        self._refuse_hidden("copy", source, target or "")
        self.writability.check(source if target is None else target)
        with http_errors():
            model = await moving.copy(self, source, target)
        if model["type"] != "directory":
            self.emit(data={"action": "copy", "path": model["path"], "source_path": from_path})
        return model

    async def copy_object(self, source: str, target: str) -> Model:
        """Copy one file to where nothing is, and return its model; `AlreadyExistsError`."""
        target = self.checked_target(target)
        if self.pre_save_hook is not None or self._pre_save_hooks:
            # A hook may have to change the content of the copy: it has to come by.
            return await self._save(await self.get(source), target, IfAbsent())
        await self.storage.copy(source, target, condition=IfAbsent())
        self.emit(data={"action": "get", "path": source})
        model = await self.get(target, content=False)
        self.run_post_save_hooks(model=model, os_path=target)
        self.emit(data={"action": "save", "path": target})
        return model

    def checked_target(self, path: str) -> str:
        """A path that we made up ourselves, if a user may write there."""
        path = api_path(path)
        self._refuse_hidden("create", path)
        return path

    async def trust_notebook(self, path: str) -> None:
        """Sign the notebook as it is now, so that its outputs are trusted here."""
        notebook = (await self.get(path, type="notebook"))["content"]
        self.log.warning("Trusting notebook %s", path)
        await asyncio.to_thread(self.notary.mark_cells, notebook, True)
        await sign_if_trusted(self.notary, notebook, path, self.log)
