"""What is installed: the files of the wheel and the names that users import."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from configparser import ConfigParser
from contextlib import suppress
from email.parser import Parser
from importlib import metadata
from pathlib import Path
from typing import Union, get_origin

import pytest
from jupyter_server.services.contents.checkpoints import AsyncCheckpoints
from jupyter_server.services.contents.manager import AsyncContentsManager
from traitlets import HasTraits

import jupyter_nbforge
import jupyter_nbforge.storage
from jupyter_nbforge import BaseStorageService, NBForgeCheckpoints, NBForgeContentsManager
from jupyter_nbforge.storage.factory import STACK

ROOT = Path(__file__).parent.parent
DATA = f"jupyter_nbforge-{jupyter_nbforge.__version__}.data/data"

_NOT_AT_RUN_TIME = {"jupyter_nbforge", "types_aiobotocore_s3"}
"""The package itself, and stubs for the type checker."""

_UPSTREAM: tuple[type[HasTraits], ...] = (AsyncContentsManager, AsyncCheckpoints)
"""Jupyter documents their options."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[zipfile.ZipFile]:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (built,) = target.glob("*.whl")
    with zipfile.ZipFile(built) as opened:
        yield opened


@pytest.mark.parametrize(
    "name",
    [
        f"{DATA}/etc/jupyter/jupyter_server_config.d/jupyter_nbforge.json",
        f"{DATA}/share/jupyter/lab/extensions/jupyter_nbforge/install.json",
        "jupyter_nbforge/py.typed",
        "jupyter_nbforge/cli/samples/Welcome.ipynb",
        "jupyter_nbforge/cli/samples/data/temperatures.csv",
    ],
)
def test_wheel_holds(wheel: zipfile.ZipFile, name: str) -> None:
    assert name in wheel.namelist()


def test_wheel_holds_the_package_and_nothing_beside_it(wheel: zipfile.ZipFile) -> None:
    roots = {name.split("/")[0] for name in wheel.namelist()}
    distribution = f"jupyter_nbforge-{jupyter_nbforge.__version__}"
    assert roots == {"jupyter_nbforge", f"{distribution}.data", f"{distribution}.dist-info"}


def test_wheel_declares_the_command_and_the_providers(wheel: zipfile.ZipFile) -> None:
    distribution = f"jupyter_nbforge-{jupyter_nbforge.__version__}.dist-info"
    declared = ConfigParser()
    declared.read_string(wheel.read(f"{distribution}/entry_points.txt").decode())
    assert dict(declared["console_scripts"]) == {"jupyter-nbforge": "jupyter_nbforge.cli:main"}
    assert {"s3", "file", "memory"} <= set(declared["jupyter_nbforge.storage"])


def test_every_declared_provider_can_be_loaded() -> None:
    for point in metadata.entry_points(group="jupyter_nbforge.storage"):
        assert issubclass(point.load(), BaseStorageService)


def test_version_is_that_of_the_installed_package() -> None:
    assert metadata.version("jupyter-nbforge") == jupyter_nbforge.__version__


def test_public_names_exist_and_are_documented() -> None:
    assert {"NBForgeContentsManager", "create_storage_service"} <= set(jupyter_nbforge.__all__)
    for module in (jupyter_nbforge, jupyter_nbforge.storage):
        for name in module.__all__:
            public = getattr(module, name)
            plain = isinstance(public, str) or get_origin(public) is Union
            assert plain or public.__doc__, name


def test_every_option_is_documented() -> None:
    """In the first column of a table on one of the pages for people, or in full on one."""
    text = "\n".join(page.read_text() for page in (ROOT / "docs").glob("*.md"))
    cells = "\n".join(re.findall(r"^\|([^|]*)\|", text, re.MULTILINE))
    listed = set(re.findall(r"`(?:\w+\.)?([a-z_]+)`", cells))
    for cls in (NBForgeContentsManager, NBForgeCheckpoints, *_storages()):
        inherited = {name for base in _UPSTREAM for name in base.class_trait_names(config=True)}
        own = set(cls.class_trait_names(config=True)) - inherited
        missing = {name for name in own - listed if f"{cls.__name__}.{name}" not in text}
        assert not missing, f"{cls.__name__}: {sorted(missing)}"


def _storages() -> list[type[BaseStorageService]]:
    points = metadata.entry_points(group="jupyter_nbforge.storage")
    return [*(point.load() for point in points), *STACK]


def test_every_package_that_is_imported_is_declared(wheel: zipfile.ZipFile) -> None:
    """By us, or as a requirement of a package that we declare; tools for tests excepted."""
    name = f"jupyter_nbforge-{jupyter_nbforge.__version__}.dist-info/METADATA"
    lines = Parser().parsestr(wheel.read(name).decode()).get_all("Requires-Dist", [])
    declared = _distributions(line for line in lines if "extra == 'test'" not in line)
    for direct in tuple(declared):
        with suppress(metadata.PackageNotFoundError):
            further = metadata.requires(direct) or []
            declared |= _distributions(line for line in further if "extra ==" not in line)
    providers = _providers()
    package = ROOT / "jupyter_nbforge"
    for file in set(package.rglob("*.py")) - set((package / "testing").rglob("*.py")):
        for module in _imported_by(file) - sys.stdlib_module_names - _NOT_AT_RUN_TIME:
            assert providers[module] & declared, f"{file.relative_to(ROOT)} imports {module}"


def _providers() -> dict[str, set[str]]:
    """The distributions that bring each top-level module.

    Python 3.10's own table of them has only those that still list theirs in a file.
    """
    providers: dict[str, set[str]] = defaultdict(set)
    for distribution in metadata.distributions():
        for file in distribution.files or ():
            if file.suffix in (".py", ".so") and ".." not in file.parts:
                providers[file.parts[0].partition(".")[0]].add(_normal(distribution.name))
    return providers


def _distributions(requirements: Iterable[str]) -> set[str]:
    return {_normal(re.split(r"[^\w.-]", text)[0]) for text in requirements}


def _imported_by(file: Path) -> set[str]:
    """The top-level names that a module imports absolutely."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            names.add(node.module.split(".")[0])
    return names


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
