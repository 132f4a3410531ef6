"""The door for other stores: the package in `docs/providers.md`, installed and used as it says."""

from __future__ import annotations

import ast
import json
import os
import re
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jupyter_nbforge import storage
from tests.browser.server import JupyterProcess

ROOT = Path(__file__).parent.parent.parent
PAGE = ROOT / "docs" / "providers.md"

MODULE = "nbforge_sqlite.py"
SUITE = "test_nbforge_sqlite.py"
FILES = {"pyproject.toml", MODULE, SUITE}

_FILE = re.compile(r"^`([\w.]+)`:\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)
"""A file on the page: its name in a line of its own, then its text in a fence."""

MAX_LINES = 150
PROCESSES = 4
INCREMENTS = 10
TIMEOUT = 240.0


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of the package, its files taken out of the page."""
    directory = tmp_path_factory.mktemp("nbforge-sqlite")
    for name, text in _FILE.findall(PAGE.read_text(encoding="utf-8")):
        (directory / name).write_text(text, encoding="utf-8")
    assert {file.name for file in directory.iterdir()} == FILES
    return directory


@pytest.fixture(scope="module")
def installed(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory that the package is installed in, made without any other package."""
    target = tmp_path_factory.mktemp("installed")
    pip = ("-m", "pip", "--isolated", "--disable-pip-version-check", "install", "--no-index")
    run(*pip, "--no-build-isolation", "--no-deps", "--target", str(target), str(package))
    return target


def run(*arguments: str, **settings: Any) -> str:
    """What Python prints with these arguments; it must end well, and in time."""
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=TIMEOUT, **settings
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return str(done.stdout)


def seeing(installed: Path) -> dict[str, str]:
    """An environment in which Python finds what is installed there."""
    return {**os.environ, "PYTHONPATH": str(installed)}


def program(body: str) -> str:
    """A script that runs `body` as that of an asynchronous function."""
    lines = textwrap.indent(body.strip(), "    ")
    return f"import asyncio, json, sys\nasync def main():\n{lines}\nasyncio.run(main())\n"


def run_script(installed: Path, body: str, *arguments: str) -> Any:
    """What a script prints as JSON."""
    text = program(body)
    return json.loads(run("-W", "error", "-c", text, *arguments, env=seeing(installed)))


def rows(database: Path) -> dict[str, bytes]:
    """What is in the database, read without the provider."""
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT path, data FROM objects"))


# What the page says of the code


def test_the_provider_is_as_short_as_the_page_says(package: Path) -> None:
    lines = [line for line in (package / MODULE).read_text().splitlines() if line.strip()]
    assert len(lines) < MAX_LINES
    assert f"less than {MAX_LINES} lines" in PAGE.read_text()


def test_the_provider_uses_nothing_but_public_names(package: Path) -> None:
    names: set[str] = set()
    modules: set[str | None] = set()
    for node in ast.walk(ast.parse((package / MODULE).read_text())):
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "nb":
            names.add(node.attr)
        elif isinstance(node, ast.Import):
            modules.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            modules.add(node.module)
    assert {"BaseStorageService", "ThreadBridge"} <= names <= set(storage.__all__)
    assert modules - sys.stdlib_module_names - {"urllib.parse", "collections.abc"} == {
        "jupyter_nbforge",
        "traitlets",
    }


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "command",
    [
        ("ruff", "check", "--config", str(ROOT / "pyproject.toml")),
        ("ruff", "format", "--check", "--config", str(ROOT / "pyproject.toml")),
        ("mypy", "--strict"),
    ],
    ids=["ruff-check", "ruff-format", "mypy"],
)
def test_tool_finds_nothing_in_the_package(package: Path, command: Sequence[str]) -> None:
    run("-m", *command, ".", cwd=package)


def test_the_page_names_every_public_name_that_a_provider_needs() -> None:
    text = PAGE.read_text()
    helpers = {name for name in storage.__all__ if name.islower()} | {"MTIME", "ThreadBridge"}
    assert {name for name in helpers if f"`{name}" not in text} == set()


# A package of somebody else's


USE = """
from jupyter_nbforge import create_storage_service
from jupyter_nbforge.storage import IfAbsent, NotFoundError, stamp

storage = create_storage_service(sys.argv[1], environ={})
await storage.put("a/b.txt", b"bytes", condition=IfAbsent(), metadata=stamp(b"bytes"))
async with storage.get("a/b.txt") as reader:
    data = await reader.read()
try:
    await storage.head("none")
except NotFoundError as error:
    missing = str(error)
await storage.aclose()
layers = [type(storage).__name__]
while hasattr(storage, "inner"):
    storage = storage.inner
    layers.append(type(storage).__name__)
print(json.dumps([storage.url, layers, data.decode(), missing]))
"""


def test_it_is_found_by_its_scheme_and_stands_in_the_stack(installed: Path, tmp_path: Path) -> None:
    database = tmp_path / "some objects.db"
    url = database.as_uri().replace("file:", "sqlite:")
    used, layers, data, missing = run_script(installed, USE, f"{url}/team/ada")
    assert (used, data, missing) == (url, "bytes", "'none' does not exist.")
    assert layers[-1] == "SQLiteStorage"
    assert {"PrefixStorage", "RetryStorage"} < set(layers)
    assert rows(database) == {"team/ada/a/b.txt": b"bytes"}


REFUSALS = """
from jupyter_nbforge import create_storage_service
from jupyter_nbforge.storage import StorageError

sentences = []
for url in sys.argv[1:]:
    try:
        await create_storage_service(url, environ={}).head("a")
    except StorageError as error:
        sentences.append(str(error))
print(json.dumps(sentences))
"""


def test_what_is_wrong_with_a_url_is_said_in_one_sentence(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database" * 100)
    urls = ("nosuch://x", "sqlite:///srv/notebooks", "sqlite://host/a.db", "sqlite")
    files = (f"sqlite://{tmp_path}/none/a.db", f"sqlite://{tmp_path}/text.db")
    unknown, nameless, host, *others = run_script(installed, REFUSALS, *urls, *files)
    assert re.search(r"'nosuch'\. Known providers: .*\bfile\b.*\bsqlite\b", unknown)
    assert nameless == host == "Write the URL as sqlite:///folder/name.db/prefix."
    told = sys.version_info >= (3, 11)  # Python 3.10 has no codes of SQLite's errors.
    reasons = ["cannot be opened; ", "cannot be opened; ", "is a file of another kind; "]
    for reason, sentence in zip(reasons, others, strict=True):
        assert (reason if told else "failed: ") in sentence


COUNT = """
from jupyter_nbforge import create_storage_service
from jupyter_nbforge.storage import AlreadyExistsError, IfAbsent, IfMatch, PreconditionError

storage = create_storage_service(sys.argv[1], environ={}, wrap=False)
try:
    await storage.put("count", b"0", condition=IfAbsent())
except AlreadyExistsError:
    pass
done = 0
while done < int(sys.argv[2]):
    async with storage.get("count") as reader:
        meta, count = reader.meta, int(await reader.read())
    try:
        await storage.put("count", b"%d" % (count + 1), condition=IfMatch(meta.version))
        done += 1
    except PreconditionError:
        pass
await storage.aclose()
print(json.dumps(done))
"""


def test_several_processes_lose_no_update(installed: Path, tmp_path: Path) -> None:
    database = tmp_path / "objects.db"
    arguments = (f"sqlite://{database}", str(INCREMENTS))
    with ThreadPoolExecutor(PROCESSES) as pool:
        counting = [pool.submit(run_script, installed, COUNT, *arguments) for _ in range(PROCESSES)]
    assert [process.result() for process in counting] == [INCREMENTS] * PROCESSES
    assert rows(database) == {"count": b"%d" % (PROCESSES * INCREMENTS)}


@pytest.mark.timeout(300)
def test_it_passes_the_whole_conformance_suite(
    package: Path, installed: Path, tmp_path: Path
) -> None:
    """With pytest alone, as a plain project of somebody else's runs it."""
    report = tmp_path / "report.xml"
    run(
        *("-W", "error", "-m", "pytest", "-W", "error", "-p", "no:cacheprovider"),
        *("--junit-xml", str(report)),
        cwd=package,
        env={**seeing(installed), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", "PYTEST_ADDOPTS": ""},
    )
    (suite,) = ElementTree.parse(report).getroot().iter("testsuite")
    assert [suite.get(name) for name in ("failures", "errors", "skipped")] == ["0"] * 3
    assert int(suite.get("tests", 0)) > 130


@pytest.fixture
def server(installed: Path, tmp_path: Path) -> Iterator[JupyterProcess]:
    """A Jupyter server whose files are in a database."""
    arguments = [
        "server",
        "--ServerApp.contents_manager_class=jupyter_nbforge.NBForgeContentsManager",
        f"--NBForgeContentsManager.storage_url=sqlite://{tmp_path}/notebooks.db/people/ada",
    ]
    with JupyterProcess(arguments, tmp_path / "home", seeing(installed)) as process:
        yield process


def test_a_jupyter_server_saves_and_lists_on_it(server: JupyterProcess, tmp_path: Path) -> None:
    notebook = {"cells": [], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    model = {"type": "notebook", "format": "json", "content": notebook}
    saved = server.request("api/contents/work/first.ipynb", "PUT", model)
    listed = server.request("api/contents/work")
    assert [entry["path"] for entry in listed["content"]] == ["work/first.ipynb"]
    opened = server.request("api/contents/work/first.ipynb")
    assert opened["content"] == notebook
    assert opened["last_modified"] == saved["last_modified"]
    stored = rows(tmp_path / "notebooks.db")
    assert json.loads(stored["people/ada/work/first.ipynb"]) == notebook
