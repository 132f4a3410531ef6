"""A user who does one thing after the other, by chance, whatever the store says to it."""

from __future__ import annotations

import base64
import itertools
from random import Random
from typing import Any

from tornado.web import HTTPError

from jupyter_nbforge.contents.models import Model as JupyterModel
from tests.contents.gestures import notebook, text_file

from .model import CHECKPOINTS, Model
from .world import World, token_of

_MIB = 2**20
_MAX_FILES = 14
_PATIENCE = 8
"""How often a user repeats what was refused before the store is given a calm moment."""


class Actor:
    """Every gesture takes a file that there is, or makes one; `step` chooses."""

    def __init__(self, world: World, seed: int) -> None:
        self.model = Model(world)
        self._world = world
        self._manager = world.manager
        self._random = Random(seed)
        self._numbers = itertools.count(1)
        self._gestures = {
            self._save_new: 4,
            self._save: 8,
            self._open: 8,
            self._list: 3,
            self._rename: 5,
            self._copy: 3,
            self._delete: 3,
            self._untitled: 2,
            self._upload: 3,
            self._upload_in_parts: 1,
            self._checkpoint: 5,
            self._restore: 4,
            self._delete_checkpoint: 1,
            self._rename_folder: 2,
            self._copy_folder: 1,
            self._delete_folder: 1,
        }

    async def step(self) -> None:
        """One gesture."""
        gestures, weights = list(self._gestures), list(self._gestures.values())
        if len(self.model.files) > _MAX_FILES:
            gestures, weights = [self._delete, self._delete_folder], [4, 1]
        (gesture,) = self._random.choices(gestures, weights)
        await gesture()

    # What a gesture is about

    def _new_path(self) -> str:
        number = next(self._numbers)
        suffix = self._random.choice([".ipynb", ".txt", ".bin"])
        return self._random.choice(["", "a/", "b/", "a/deep/"]) + f"{number}{suffix}"

    def _any_file(self) -> str | None:
        return self._random.choice(sorted(self.model.files)) if self.model.files else None

    def _any_folder(self) -> str | None:
        folders = {path.rpartition("/")[0] for path in self.model.files} - {""}
        return self._random.choice(sorted(folders)) if folders else None

    def _content(self, path: str) -> tuple[JupyterModel, str]:
        """A new content for a file, and its token."""
        text = f"text {next(self._numbers)} " + "x" * self._random.choice([0, 10, 3000, 200_000])
        if path.endswith(".ipynb"):
            return notebook(text), f"notebook {text}"
        return text_file(text), token_of(text.encode())

    # Files

    async def _save_new(self) -> None:
        path = self._new_path()
        if path.count("/"):
            await self._make_folder(path.rpartition("/")[0])
        # As the handler of a PUT does.
        await self.model.look("look", lambda: self._manager.file_exists(path))
        model, token = self._content(path)
        await self.model.attempt("save", {path: token}, lambda: self._manager.save(model, path))

    async def _make_folder(self, folder: str) -> None:
        model = {"type": "directory"}
        await self.model.attempt("mkdir", {}, lambda: self._manager.save(model, folder))

    async def _save(self) -> None:
        path = self._any_file()
        if path is None:
            return
        await self._look_at(path)
        model, token = self._content(path)
        save = await self.model.attempt(
            "save", {path: token}, lambda: self._manager.save(model, path)
        )
        if isinstance(save, HTTPError) and save.status_code == 409:
            await self._look_at(path)

    async def _look_at(self, path: str) -> None:
        """As JupyterLab does before and after a save."""
        await self.model.look(
            "look", lambda: self._manager.get(path, content=False, require_hash=True)
        )

    async def _open(self) -> None:
        path = self._any_file()
        if path is None:
            return
        model = await self.model.look("open", lambda: self._manager.get(path))
        if model is not None:
            assert _shown(model) == self.model.files[path], f"{path} is shown as what it is not"

    async def _list(self) -> None:
        folder = self._random.choice(["", self._any_folder() or ""])
        listed = await self.model.look("list", lambda: self._manager.get(folder))
        if listed is not None:
            names = {entry["path"] for entry in listed["content"] if entry["type"] != "directory"}
            inside = {path for path in self.model.files if path.rpartition("/")[0] == folder}
            assert names == inside, f"{folder!r} is shown with {names}, not {inside}"

    async def _rename(self) -> None:
        old = self._any_file()
        if old is None:
            return
        new = f"{next(self._numbers)}." + old.rpartition(".")[2]
        new = self._random.choice([f"{old.rpartition('/')[0]}/{new}".lstrip("/"), new])
        after = {old: None, new: self.model.files[old]}
        await self.model.attempt("rename", after, lambda: self._manager.rename(old, new))

    async def _copy(self) -> None:
        source = self._any_file()
        if source is None:
            return
        target = f"{next(self._numbers)}." + source.rpartition(".")[2]
        after = {target: self.model.files[source]}
        await self.model.attempt("copy", after, lambda: self._manager.copy(source, target))

    async def _delete(self) -> None:
        path = self._any_file()
        if path is not None:
            await self.model.attempt(
                "delete", {path: None}, lambda: self._manager.delete(path), drops_checkpoints=True
            )

    async def _untitled(self) -> None:
        # Its name is the manager's to choose: what has appeared is what it made.
        names = (f"Untitled{number or ''}.ipynb" for number in itertools.count())
        name = next(name for name in names if name not in self.model.files)
        made = await self.model.attempt(
            "new", {name: "notebook "}, lambda: self._manager.new_untitled(type="notebook")
        )
        if not isinstance(made, HTTPError):
            assert made["path"] == name

    # Uploads

    async def _upload(self) -> None:
        await self._send("upload", b"-" + self._random.randbytes(self._random.randrange(100_000)))

    async def _upload_in_parts(self) -> None:
        part = max(_MIB, self._manager.storage.capabilities.min_part_size)
        await self._send("parts", b"-" + self._random.randbytes(2 * part + 12345))

    async def _send(self, operation: str, data: bytes) -> None:
        path = self._random.choice([self._any_file(), None]) or self._new_path()
        path = path.rpartition(".")[0] + ".bin"
        await self._look_at_place(path)
        await self.model.attempt(
            operation, {path: token_of(data)}, lambda: self._send_chunks(path, data)
        )

    async def _look_at_place(self, path: str) -> None:
        if path in self.model.files:
            await self._look_at(path)
        else:
            await self.model.look("look", lambda: self._manager.file_exists(path))

    async def _send_chunks(self, path: str, data: bytes) -> None:
        step = max(1, -(-len(data) // 5))
        pieces = [data[start : start + step] for start in range(0, len(data), step)] or [b""]
        for number, piece in enumerate(pieces, 1):
            content = base64.b64encode(piece).decode()
            chunk = number if number < len(pieces) else -1
            if len(pieces) == 1:
                chunk = 1
            model = {"type": "file", "format": "base64", "content": content, "chunk": chunk}
            await self._manager.save(model, path)
        if len(pieces) == 1:
            await self._manager.save({**model, "content": "", "chunk": -1}, path)

    # Checkpoints

    async def _checkpoint(self) -> None:
        path = self._any_file()
        if path is None:
            return
        token = self.model.files[path]
        made = await self.model.attempt(
            "checkpoint",
            {path: token},
            lambda: self._manager.create_checkpoint(path),
            drops_checkpoints=True,
        )
        if not isinstance(made, HTTPError):
            assert self._world.token(f"{CHECKPOINTS}{path}/{made['id']}") == token

    async def _any_checkpoint(self, path: str) -> str | None:
        listed = await self.model.look("list", lambda: self._manager.list_checkpoints(path))
        return self._random.choice(listed)["id"] if listed else None

    async def _restore(self) -> None:
        path = self._any_file()
        checkpoint = None if path is None else await self._any_checkpoint(path)
        if path is None or checkpoint is None:
            return
        token = self._world.token(f"{CHECKPOINTS}{path}/{checkpoint}")
        await self.model.attempt(
            "restore",
            {path: token},
            lambda: self._manager.restore_checkpoint(checkpoint, path),
        )

    async def _delete_checkpoint(self) -> None:
        path = self._any_file()
        checkpoint = None if path is None else await self._any_checkpoint(path)
        if path is not None and checkpoint is not None:
            await self.model.attempt(
                "forget",
                {path: self.model.files[path]},
                lambda: self._manager.delete_checkpoint(checkpoint, path),
                drops_checkpoints=True,
            )

    # Folders

    async def _rename_folder(self) -> None:
        old = self._any_folder()
        if old is None:
            return
        new = f"folder {next(self._numbers)}"
        self.model.will_move(old, new)
        await self._until_done(
            "move",
            lambda: (
                dict.fromkeys(self.model.below(old))
                | {new + path[len(old) :]: token for path, token in self.model.below(old).items()}
            ),
            lambda: self._manager.rename(old, new),
            lambda: not self.model.below(old),
        )

    async def _delete_folder(self) -> None:
        folder = self._any_folder()
        if folder is not None:
            await self._until_done(
                "remove",
                lambda: dict.fromkeys(self.model.below(folder)),
                lambda: self._manager.delete(folder),
                lambda: not self.model.below(folder),
                drops_checkpoints=True,
            )

    async def _until_done(
        self, operation: str, after: Any, act: Any, is_done: Any, **options: Any
    ) -> None:
        """Repeat what was refused: it must go on where it stopped, and end."""
        for number in range(_PATIENCE + 1):
            if number == _PATIENCE:
                with self._world.calm():
                    answer = await self.model.attempt(operation, after(), act, **options)
                assert not isinstance(answer, HTTPError), f"{operation} does not end: {answer}"
            else:
                answer = await self.model.attempt(operation, after(), act, **options)
            if not isinstance(answer, HTTPError) or is_done():
                return

    async def _copy_folder(self) -> None:
        """A refused one has copied some files, each of them whole."""
        folder = self._any_folder()
        if folder is None:
            return
        parent = folder.rpartition("/")[0]
        # A folder without a file is taken too.
        folders = {path.rpartition("/")[0] for path in self._world.paths()}
        taken = {"/".join(path.split("/")[: folder.count("/") + 1]) for path in folders}
        names = (f"{folder}-Copy{number}" for number in itertools.count(1))
        name = next(name for name in names if name not in taken)
        inside = self.model.below(folder).items()
        copies = {name + path[len(folder) :]: token for path, token in inside}
        await self.model.attempt("copy", copies, lambda: self._manager.copy(folder, parent))


def _shown(model: JupyterModel) -> str:
    """The token of what a client is shown."""
    if model["type"] == "notebook":
        return "notebook " + "".join(cell["source"] for cell in model["content"]["cells"])
    content: str = model["content"]
    data = base64.b64decode(content) if model["format"] == "base64" else content.encode()
    return token_of(data)
