"""What a person does while the server is killed, and what must be true of the store afterwards."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from .servers import Server

CHECKPOINTS = ".nbforge/checkpoints/"
CHUNK = 2**20

Objects = dict[str, bytes]
"""Everything of one round, by path within the root."""


@dataclass(frozen=True, slots=True)
class Gesture:
    """One gesture in a folder of its own, `root` of `begin`.

    `calls` are its requests. `allowed` says of a path which bytes may be there once the server
    has been killed (None: nothing); a path that it does not name may not exist. `kept` are
    bytes that must be somewhere. `is_done` tells of what is there whether the gesture has had
    its whole effect.
    """

    before: Objects
    calls: list[tuple[str, str, Any]]
    allowed: Mapping[str, tuple[bytes | None, ...]]
    is_done: Callable[[Objects], bool]
    kept: tuple[bytes, ...] = ()
    leaves: tuple[str, ...] = field(default=(".nbforge/moves/",))
    """Beginnings of other paths that may exist: of what a repeat or a sweep takes away."""

    async def make(self, server: Server) -> list[int]:
        """Make all of its requests; their statuses. `KilledError`."""
        return [(await server.ask(method, path, body))[0] for method, path, body in self.calls]

    def damage(self, found: Objects) -> list[str]:
        """What is wrong with what is there."""
        wrong = [
            f"{path} has {len(data)} other bytes"
            for path, data in found.items()
            if not path.startswith(self.leaves) and data not in self.allowed.get(path, ())
        ]
        wrong += [
            f"{path} is gone"
            for path, allowed in self.allowed.items()
            if None not in allowed and path not in found
        ]
        everything = set(found.values())
        return wrong + [f"{data[:20]!r} is lost" for data in self.kept if data not in everything]


def contents(name: str, size: int) -> bytes:
    """Text that is like no other."""
    return (f"{name} " * (size // (len(name) + 1) + 1))[:size].encode()


def text(data: bytes) -> dict[str, Any]:
    """The model with which a client saves it."""
    return {"type": "file", "format": "text", "content": data.decode()}


def save(root: str, size: int) -> Gesture:
    """Save over a file, and keep a checkpoint, as Ctrl+S does."""
    old, new = contents(f"{root} old", size // 2), contents(f"{root} new", size)
    path, kept = f"{root}/a.txt", f"{CHECKPOINTS}{root}/a.txt/checkpoint-1"
    return Gesture(
        {path: old},
        [("PUT", path, text(new)), ("POST", f"{path}/checkpoints", None)],
        {path: (old, new), kept: (None, new)}
        # A repeat makes one more.
        | {kept.replace("-1", "-2"): (None, new)},
        lambda found: found[path] == new and found.get(kept) == new,
    )


def upload(root: str, size: int) -> Gesture:
    """Upload over a file, in pieces."""
    old, new = contents(f"{root} old", size // 9), contents(f"{root} new", size)
    path = f"{root}/a.bin"

    def pieces() -> Iterator[tuple[str, str, Any]]:
        for start in range(0, size, CHUNK):
            number = -1 if start + CHUNK >= size else start // CHUNK + 1
            content = base64.b64encode(new[start : start + CHUNK]).decode()
            model = {"type": "file", "format": "base64", "chunk": number, "content": content}
            yield "PUT", path, model

    return Gesture(
        {path: old}, list(pieces()), {path: (old, new)}, lambda found: found[path] == new
    )


def restore(root: str, size: int) -> Gesture:
    """Restore a checkpoint."""
    now, then = contents(f"{root} now", size), contents(f"{root} then", size // 2)
    path, kept = f"{root}/a.txt", f"{CHECKPOINTS}{root}/a.txt/checkpoint-1"
    return Gesture(
        {path: now, kept: then},
        [("POST", f"{path}/checkpoints/checkpoint-1", None)],
        {path: (now, then), kept: (then,)},
        lambda found: found[path] == then,
    )


def rename_file(root: str, size: int) -> Gesture:
    """Rename a file that has two checkpoints."""
    old, new = f"{root}/old.txt", f"{root}/new.txt"
    data = contents(f"{root} file", size)
    kept = {f"checkpoint-{number}-{number}": contents(f"{root} {number}", 99) for number in (1, 2)}
    before = {old: data} | {f"{CHECKPOINTS}{old}/{name}": text for name, text in kept.items()}
    return _moving(before, old, new)


def rename_folder(root: str, size: int) -> Gesture:
    """Rename a folder with a folder in it, an empty one too, and checkpoints."""
    old, new = f"{root}/old", f"{root}/new"
    names = ("a.txt", "b.txt", "below/c.txt")
    before: Objects = {f"{old}/": b"", f"{old}/empty/": b""}
    for number, name in enumerate(names):
        before[f"{old}/{name}"] = contents(f"{root} {name}", size // (number + 1))
        kept = f"{CHECKPOINTS}{old}/{name}/checkpoint-1-{number}"
        before[kept] = contents(f"{root} {name} then", 99)
    return _moving(before, old, new)


def _moving(before: Objects, old: str, new: str) -> Gesture:
    moved = {path.replace(old, new, 1): data for path, data in before.items()}
    either: dict[str, tuple[bytes | None, ...]] = {}
    for path, data in (before | moved).items():
        either[path] = (data, None)

    def is_done(found: Objects) -> bool:
        return {path: data for path, data in found.items() if path in either} == moved

    return Gesture(
        before,
        [("PATCH", old, {"path": new})],
        either,
        is_done,
        kept=tuple(filter(None, before.values())),
    )


def delete_folder(root: str, size: int) -> Gesture:
    """Delete a folder that is not empty, with its checkpoints."""
    before = rename_folder(root, size).before
    return Gesture(
        before,
        [("DELETE", f"{root}/old", None)],
        {path: (data, None) for path, data in before.items()} | {f"{root}/": (b"", None)},
        lambda found: not found.keys() & before.keys(),
    )


def copy_file(root: str, size: int) -> Gesture:
    """Copy a file."""
    path, data = f"{root}/a.txt", contents(f"{root} file", size)
    copies = [f"{root}/a-Copy{number}.txt" for number in (1, 2)]
    return Gesture(
        {path: data},
        [("POST", root, {"copy_from": path})],
        {path: (data,)} | dict.fromkeys(copies, (data, None)),
        lambda found: copies[0] in found,
    )


def copy_folder(root: str, size: int) -> Gesture:
    """Copy a folder: a copy that was stopped stays, in whole files, and a repeat makes another."""
    folder = f"{root}/d"
    before = {f"{folder}/{name}.txt": contents(f"{root} {name}", size // 3) for name in "abc"}
    copies = [
        {path.replace("/d/", f"/d-Copy{number}/"): data for path, data in before.items()}
        for number in (1, 2)
    ]
    allowed: dict[str, tuple[bytes | None, ...]] = {path: (data,) for path, data in before.items()}
    taken = {f"{root}/d-Copy{number}/": b"" for number in (1, 2)}
    for path, data in (copies[0] | copies[1] | taken).items():
        allowed[path] = (data, None)
    return Gesture(
        before,
        [("POST", root, {"copy_from": folder})],
        allowed,
        lambda found: any(copy.items() <= found.items() for copy in copies),
    )


GESTURES: dict[str, Callable[[str, int], Gesture]] = {
    "save": save,
    "upload": upload,
    "restore": restore,
    "rename_file": rename_file,
    "rename_folder": rename_folder,
    "delete_folder": delete_folder,
    "copy_file": copy_file,
    "copy_folder": copy_folder,
}
"""By name; each is made of a folder of its own and a number of bytes."""
