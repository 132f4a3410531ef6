"""Random sequences of operations that hypothesis draws, and makes as short as it can."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from . import operations as ops
from . import payloads
from .answers import CHECKPOINTS_FOLDER
from .operations import Operation
from .pair import Pair

Run = Callable[[Awaitable[Any]], Any]

_QUERIES = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["file", "notebook", "directory", "strange"]),
        "format": st.sampled_from(["text", "base64", "jpeg"]),
        "content": st.sampled_from(["0", "1", "2"]),
        "hash": st.sampled_from(["0", "1", "yes"]),
    },
)
_UNTITLED = st.fixed_dictionaries(
    {},
    optional={
        "type": st.sampled_from(["file", "notebook", "directory", "strange", ""]),
        "ext": st.sampled_from([".txt", ".ipynb", ".tar.gz", "", "txt"]),
    },
)
_RANGES = st.sampled_from(
    [
        *("", "bytes=0-", "bytes=1-2", "bytes=-2", "bytes=2-", "bytes=99999-", "bytes=2-1"),
        *("bytes=-0", "bytes=0-99999", "bytes=0-0,2-2", "lines=1-2", "bytes=a-b"),
    ]
)
_MANY = 40
_INDEX = st.integers(0, 2**10)
_SMALL = st.sampled_from(payloads.BASE64)


def _pick(data: st.DataObject, options: Collection[str]) -> str:
    # What is drawn must not hang on how many options there are: hypothesis draws again what it
    # has drawn before, and a server may have answered otherwise.
    return list(options)[data.draw(_INDEX) % len(options)]


class Sequence(RuleBasedStateMachine):
    """One sequence: the rules are the gestures; each compares the two answers to it."""

    def __init__(self, pair: Pair, run: Run) -> None:
        super().__init__()
        self._pair = pair
        self._run = run
        self._names = ops.PATHS

    def _step(self, operation: Operation) -> tuple[int, int]:
        reference, ours = self._run(self._pair.step(operation))
        return reference.status, ours.status

    def _path(self, data: st.DataObject, *, existing: int = 3) -> str:
        """A path; of four, so many are of what exists."""
        tree = self._pair.reference.tree()
        known = sorted(path for path in tree if CHECKPOINTS_FOLDER not in path)
        if data.draw(st.integers(0, 3)) < existing and known:
            return _pick(data, known)
        return _pick(data, self._names)

    def _folder(self, data: st.DataObject) -> str:
        tree = self._pair.reference.tree()
        known = sorted(path for path, content in tree.items() if content is None)
        return _pick(data, [*known, *ops.FOLDERS])

    @initialize(
        allow_hidden=st.booleans(), always_delete_dir=st.booleans(), furnished=st.booleans()
    )
    def begin(self, *, allow_hidden: bool, always_delete_dir: bool, furnished: bool) -> None:
        self._names = tuple(path for path in ops.PATHS if self._is_usable(path))
        self._run(
            self._pair.restart(allow_hidden=allow_hidden, always_delete_dir=always_delete_dir)
        )
        if furnished:
            for operation in (
                ops.make_folder("d"),
                ops.make_folder("d2"),
                ops.save("d/a.txt", "one"),
                ops.save_notebook("n.ipynb", payloads.CODE),
            ):
                self._step(operation)

    def _is_usable(self, path: str) -> bool:
        """Azure allows no name that ends in a dot; that is one of the differences."""
        return self._pair.ours.place.name != "azure" or not any(
            part.endswith(".") for part in path.split("/")
        )

    @rule(data=st.data(), query=_QUERIES)
    def get(self, data: st.DataObject, query: dict[str, str]) -> None:
        self._step(ops.get(self._path(data), **query))

    @rule(data=st.data())
    def list_folder(self, data: st.DataObject) -> None:
        self._step(ops.get(self._folder(data)))

    @rule(data=st.data(), text=st.sampled_from(payloads.TEXTS))
    def save_text(self, data: st.DataObject, text: str) -> None:
        self._step(ops.save(self._path(data, existing=2), text))

    @rule(data=st.data(), content=st.sampled_from([*payloads.BASE64, payloads.WRAPPED]))
    def save_bytes(self, data: st.DataObject, content: str) -> None:
        self._step(ops.save(self._path(data, existing=2), content, format="base64"))

    @rule(data=st.data(), notebook=st.sampled_from(payloads.NOTEBOOKS))
    def save_notebook(self, data: st.DataObject, notebook: Any) -> None:
        self._step(ops.save_notebook(self._path(data, existing=2), notebook))

    @rule(data=st.data(), content=st.sampled_from(payloads.ODD_NOTEBOOKS))
    def save_odd_notebook(self, data: st.DataObject, content: Any) -> None:
        self._step(ops.save_notebook(self._path(data, existing=2), content))

    @rule(data=st.data(), body=st.sampled_from(payloads.ODD_MODELS))
    def save_odd(self, data: st.DataObject, body: Any) -> None:
        self._step(Operation("PUT", self._path(data, existing=2), body=body))

    @rule(data=st.data())
    def make_folder(self, data: st.DataObject) -> None:
        self._step(ops.make_folder(self._path(data, existing=1)))

    @rule(data=st.data(), body=_UNTITLED)
    def new_untitled(self, data: st.DataObject, body: dict[str, str]) -> None:
        self._step(ops.untitled(self._folder(data), **body))

    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        source = self._path(data)
        into = _pick(data, [self._folder(data), self._path(data, existing=0)])
        # Into a folder of its own, Jupyter's manager would copy the copy until the disk allows no
        # longer path; and each copy of a folder may double all that there is.
        if not into.startswith(f"{source}/") and len(self._pair.reference.tree()) < _MANY:
            self._step(ops.copy(source, into))

    @rule(data=st.data(), existing=st.integers(0, 1))
    def rename(self, data: st.DataObject, existing: int) -> None:
        self._step(ops.rename(self._path(data), self._path(data, existing=existing)))

    @rule(data=st.data())
    def move(self, data: st.DataObject) -> None:
        path = self._path(data)
        name = path.rpartition("/")[2]
        self._step(ops.rename(path, f"{self._folder(data)}/{name}".strip("/")))

    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        self._step(ops.delete(self._path(data)))

    @rule(data=st.data())
    def make_checkpoint(self, data: st.DataObject) -> None:
        path = self._path(data)
        self._step(ops.make_checkpoint(path))
        self._step(ops.list_checkpoints(path))

    @rule(data=st.data(), checkpoint=st.sampled_from([ops.CHECKPOINT, ops.CHECKPOINT, "other"]))
    def restore(self, data: st.DataObject, checkpoint: str) -> None:
        path = self._path(data)
        self._step(ops.list_checkpoints(path))
        self._step(ops.restore(path, checkpoint))
        self._step(ops.get(path, hash="1"))

    @rule(data=st.data(), checkpoint=st.sampled_from([ops.CHECKPOINT, ops.CHECKPOINT, "other"]))
    def drop_checkpoint(self, data: st.DataObject, checkpoint: str) -> None:
        path = self._path(data)
        self._step(ops.drop_checkpoint(path, checkpoint))
        self._step(ops.list_checkpoints(path))

    @rule(data=st.data(), chunks=st.lists(_SMALL, min_size=1, max_size=3), last=_SMALL)
    def upload(self, data: st.DataObject, chunks: list[str], last: str) -> None:
        path = self._path(data, existing=1)
        folder = path.rpartition("/")[0]
        if folder and self._pair.reference.tree().get(folder, b"") is not None:
            return  # the first chunk fails there, and makes no folder
        for number, content in enumerate(chunks, 1):
            if max(self._step(ops.chunk(path, number, content))) >= 400:
                return
        self._step(ops.chunk(path, -1, last))
        self._step(ops.get(path, hash="1", type="file"))

    @rule(data=st.data(), number=st.sampled_from([2, 3, -1, 0, -7, 1.5, True]), content=_SMALL)
    def stray_chunk(self, data: st.DataObject, number: Any, content: str) -> None:
        self._step(ops.chunk(self._path(data, existing=1), number, content))

    @rule(data=st.data(), attachment=st.booleans(), part=_RANGES)
    def download(self, data: st.DataObject, attachment: bool, part: str) -> None:
        self._step(ops.download(self._path(data), attachment=attachment, part=part))

    @rule(data=st.data(), attachment=st.booleans())
    def look_at_download(self, data: st.DataObject, attachment: bool) -> None:
        self._step(ops.download(self._path(data), "HEAD", attachment=attachment))

    @rule(data=st.data())
    def trust(self, data: st.DataObject) -> None:
        path = self._path(data)
        self._step(ops.trust(path))
        self._step(ops.get(path))

    def teardown(self) -> None:
        """The same tree, through the API and in the store."""
        folders = [path for path, data in self._pair.reference.tree().items() if data is None]
        for folder in ("", *sorted(folders)):
            self._step(ops.get(folder))
        self._pair.finish()
