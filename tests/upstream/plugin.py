"""Loaded into a pytest run over upstream's tests: lets them work on the manager of a target.

Not a line of those tests is changed. Before pytest reads a module, the fixtures and helpers
in it that write to the local disk are replaced by ones that write to the target; those that
offer four managers by one that offers the target's. What cannot apply is deselected by name.
"""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from nbformat.sign import NotebookNotary
from traitlets.config import Config

from .inapplicable import INAPPLICABLE, ONLY, WEAK_SPOTS
from .other_client import share_sdk_data
from .places import LocalPlace, Place, StorePlace, new_place

TARGET = os.environ.get("NBFORGE_UPSTREAM_TARGET", "reference")

_places: list[Place] = []


def _place() -> Place:
    return _places[-1]


@pytest.fixture(scope="session")
def _shared_sdk_data() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        share_sdk_data(patch)
        yield


@pytest.fixture
def place(
    jp_asyncio_loop: Any, tmp_path_factory: pytest.TempPathFactory, _shared_sdk_data: None
) -> Iterator[Place]:
    """This test's own root; checked and closed afterwards."""
    with ExitStack() as stack:
        made = new_place(TARGET, tmp_path_factory.mktemp("root"), stack)
        _places.append(made)
        yield made
        _places.remove(made)
        made.close(jp_asyncio_loop.run_until_complete)


@pytest.fixture
def _root(place: Place) -> Any:
    return place.root


@pytest.fixture
def _manager(place: Place) -> Any:
    return place.manager()


@pytest.fixture
def _manager_class(place: Place) -> Callable[..., Any]:
    return place.manager


@pytest.fixture
def _manager_over_contents(place: Place, contents: Any) -> Any:
    del contents
    return place.manager()


@pytest.fixture
def _manager_with_notary(place: Place, tmp_path: Path) -> Any:
    manager = place.manager()
    make: Callable[..., Any] = NotebookNotary
    manager.notary = make(data_dir=str(tmp_path))
    return manager


@pytest.fixture
def _server_config(request: pytest.FixtureRequest, place: Place) -> Config:
    config = place.config()
    if request.node.name == "test_delete_non_empty_dir":
        # Upstream's default lets the trash take a folder that is not empty. No store has one.
        config.ContentsManager.always_delete_dir = True
        config.FileContentsManager.delete_to_trash = False
    return config


@pytest.fixture
def _argv(place: Place) -> list[str]:
    return [f"--ServerApp.contents_manager_class={place.contents_manager_class}"]


@pytest.fixture
def _no_argv() -> list[str]:
    return []


@pytest.fixture
def _checkpoints_config(place: Place) -> Config:
    """The class of the checkpoints is configured under the manager's own name as well."""
    base: type
    if isinstance(place, LocalPlace):
        from jupyter_server.services.contents.filecheckpoints import AsyncGenericFileCheckpoints

        base = AsyncGenericFileCheckpoints
    else:
        from jupyter_nbforge.contents.checkpoints import NBForgeCheckpoints

        base = NBForgeCheckpoints
    chosen = type("ConfiguredCheckpoints", (base,), {})
    config = place.config()
    config.FileContentsManager.checkpoints_class = chosen
    config.NBForgeContentsManager.checkpoints_class = chosen
    return config


@pytest.fixture
def _server_config_without_hash(_server_config: Config) -> Config:
    """A subclass of our manager from before hashes, as upstream's test makes one of its own."""
    from jupyter_nbforge.contents.manager import NBForgeContentsManager

    class NoHashManager(NBForgeContentsManager):
        async def get(  # type: ignore[override]
            self,
            path: str,
            content: bool = True,
            type: Any = None,  # noqa: A002
            format: Any = None,  # noqa: A002
        ) -> dict[str, Any]:
            model = await super().get(path, content=content, type=type, format=format)
            return {key: model[key] for key in model if key not in ("hash", "hash_algorithm")}

    _server_config.ServerApp.contents_manager_class = NoHashManager
    return _server_config


def _make_dir(jp_contents_manager: Any, api_path: str) -> None:
    """Through the manager where it lets us, else as another program would."""
    folder = _folder(jp_contents_manager, api_path)
    if isinstance(folder, Path) or "/." in f"/{api_path}":
        folder.mkdir(parents=True, exist_ok=True)
        return
    parts = api_path.split("/")
    for depth in range(1, len(parts) + 1):
        make = jp_contents_manager.save({"type": "directory"}, "/".join(parts[:depth]))
        # The tests call this without await, on a thread whose event loop is running.
        thread = threading.Thread(target=asyncio.run, args=(make,))
        thread.start()
        thread.join()


def _make_big_dir(contents_manager: Any, api_path: str) -> None:
    """More than the manager's limit for a copy, in few files instead of ten thousand."""
    half = contents_manager.max_copy_folder_size_mb * 1024 * 1024 // 2
    for number in range(3):
        folder = _folder(contents_manager, f"{api_path}/subfolder-{number}")
        folder.mkdir(parents=True)
        folder.joinpath("testfile.txt").write_bytes(b"x" * half)


def _folder(manager: Any, api_path: str) -> Any:
    return _place().path(manager._get_os_path(api_path))


class _OsWithStore:
    """The module `os`, but for the two calls with which a test moves a file into the past."""

    def __getattr__(self, name: str) -> Any:
        place = _places[-1] if _places else None
        if name in ("stat", "utime") and isinstance(place, StorePlace):
            return getattr(place, name)
        return getattr(os, name)


def _path(*parts: str | os.PathLike[str]) -> Any:
    return _place().path(*parts)


def _open(name: str, mode: str = "r") -> Any:
    place = _place()
    return place.open(name, mode) if isinstance(place, StorePlace) else open(name, mode)


_SERVER = {"jp_root_dir": _root, "jp_server_config": _server_config}

_SUBSTITUTES: dict[str, dict[str, Any]] = {
    "services/contents/test_api.py": {
        **_SERVER,
        "jp_argv": _no_argv,
        "contents_dir": _root,
        "pathlib": SimpleNamespace(Path=_path),
    },
    "services/contents/test_checkpoints.py": {
        "contents_dir": _root,
        "contents_manager": _manager_over_contents,
    },
    "services/contents/test_config.py": {
        "jp_argv": _argv,
        "jp_server_config": _checkpoints_config,
    },
    "services/contents/test_fileio.py": {},
    "services/contents/test_largefilemanager.py": {
        "tmp_path": _root,
        "jp_large_contents_manager": _manager,
    },
    "services/contents/test_manager.py": {
        "jp_contents_manager": _manager,
        "jp_file_contents_manager_class": _manager_class,
        "file_manager_with_notary": _manager_with_notary,
        "_make_dir": _make_dir,
        "_make_big_dir": _make_big_dir,
        "open": _open,
        "os": _OsWithStore(),
    },
    "services/contents/test_manager_no_hash.py": {"jp_root_dir": _root},
    "test_files.py": {**_SERVER, "jp_argv": _no_argv, "Path": _path},
    "test_view.py": _SERVER,
}


def _upstream_name(path: Path) -> str:
    parts = path.parts
    return "/".join(parts[len(parts) - parts[::-1].index("tests") :])


@pytest.hookimpl(wrapper=True)
def pytest_pycollect_makemodule(
    module_path: Path,
) -> Generator[None, pytest.Module, pytest.Module]:
    module = yield
    name = _upstream_name(module_path)
    if name in _SUBSTITUTES:
        _substitute(name, module.obj)
    return module


def _substitute(name: str, module: ModuleType) -> None:
    for attribute, value in _SUBSTITUTES[name].items():
        setattr(module, attribute, value)
    if TARGET == "reference":
        return
    if name.endswith("test_manager_no_hash.py"):
        vars(module).update(
            _server_config=_server_config, jp_server_config=_server_config_without_hash
        )
    for value in vars(module).values():
        for patching in getattr(value, "patchings", ()):
            _watch_our_hidden_check(patching)


def _watch_our_hidden_check(patching: Any) -> None:
    """Let a `patch` of Jupyter's `is_hidden` replace the function that our manager asks."""
    if patching.attribute == "is_hidden":
        from jupyter_nbforge.contents import manager

        patching.getter = lambda: manager
        patching.attribute = "is_hidden_path"


def _names(item: pytest.Item) -> set[str]:
    """The names that stand for a test in the lists: with its parameters and without."""
    exact = f"{_upstream_name(item.path)}::{item.name}"
    return {exact, exact.partition("[")[0]}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    only = ONLY.get(TARGET)
    if only is not None:
        items[:] = [item for item in items if _names(item) & only]
        _report["stale"] = sorted(only - {name for item in items for name in _names(item)})
        return
    reasons = {**INAPPLICABLE, **WEAK_SPOTS.get(TARGET, {})}
    matched: set[str] = set()
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        named = _names(item) & set(reasons)
        matched |= named
        (dropped if named else kept).append(item)
    _report["stale"] = sorted(set(reasons) - matched)
    _report["deselected"] = sorted(f"{_upstream_name(i.path)}::{i.name}" for i in dropped)
    config.hook.pytest_deselected(items=dropped)
    items[:] = kept


_report: dict[str, Any] = {"passed": [], "failed": {}, "skipped": {}, "deselected": []}


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    name = _upstream_name(Path(report.nodeid.partition("::")[0]))
    name = f"{name}::{report.nodeid.partition('::')[2]}"
    if report.failed:
        _report["failed"][name] = f"{report.when}: {report.longreprtext}"
    elif report.skipped:
        _report["skipped"][name] = report.longreprtext
    elif report.when == "call":
        _report["passed"].append(name)


def pytest_sessionfinish(exitstatus: int) -> None:
    _report["exitstatus"] = int(exitstatus)
    # A test that passed and whose cleanup failed is a failure.
    _report["passed"] = [name for name in _report["passed"] if name not in _report["failed"]]
    Path(os.environ["NBFORGE_UPSTREAM_REPORT"]).write_text(json.dumps(_report))
