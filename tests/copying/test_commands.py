"""``copy`` within a store, ``ls`` and ``link``, and what is refused before anything is done."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest
from aiohttp import ClientSession

from jupyter_nbforge.cli import main
from jupyter_nbforge.cli.copy_display import Display
from jupyter_nbforge.copying.types import Outcome
from tests.upstream.clouds import Cloud

from .command import Command


async def test_a_store_copies_lists_and_links(
    clouds: Callable[[str], Cloud], command: Command
) -> None:
    cloud = clouds("seaweedfs")
    area = f"area-{uuid.uuid4().hex[:8]}"
    for path in ("a.txt", "folder/b.txt"):
        cloud.client().write(f"{area}/one/{path}", path.encode())
    options = command.knows(cloud)
    url = f"{cloud.url}/{area}"

    copied = await command.run("copy", f"{url}/one", f"{url}/two", *options)
    assert (copied.status, copied.counts["copied"] >= 2) == (0, True)
    assert cloud.client().read(f"{area}/two/folder/b.txt") == b"folder/b.txt"
    inside = await command.run("copy", f"{url}/one", f"{url}/one/two", *options)
    assert (inside.status, "DST lies in SRC" in inside.err) == (2, True)

    listed = await command.run("ls", f"{url}/two", "--json", *options)
    entries = {entry["path"]: entry for entry in map(json.loads, listed.out.splitlines())}
    assert entries["a.txt"]["size"] == 5
    assert entries["folder/"]["type"] == "folder"

    link = await command.run("link", f"{url}/two/a.txt", "--expires-in", "5m", *options)
    async with ClientSession() as session, session.get(link.out.strip()) as answer:
        assert await answer.read() == b"a.txt"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("copy", "missing", "target"), "does not exist"),
        (("copy", ".", "sub"), "DST lies in SRC"),
        (("copy", "file", "file"), "are the same"),
        (("copy", "file", "target", "--surprise"), "is not known"),
        (("copy", "file", "target", "--target-option", "endpoint"), "is no option"),
        (("copy", "file", "target", "--target-config", "none.py"), "cannot be read"),
        (("link", "file"), "not the URL of a file"),
        (("link", "s3://bucket/file", "--expires-in", "soon"), "is no time"),
    ],
)
def test_what_cannot_be_meant_is_refused_in_one_sentence(
    arguments: tuple[str, ...],
    sentence: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    Path("file").write_text("file")
    assert main(arguments) == (2 if arguments[0] == "copy" else 1)
    printed = capsys.readouterr()
    assert sentence in printed.err
    assert len(printed.err.splitlines()) == 1
    assert [path.name for path in Path().iterdir()] == ["file"]


def test_a_key_of_any_characters_does_not_steer_the_terminal(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Display(dry_run=False) as display:
        display.done(Outcome("a\x1b[31mred\ud800", "left out", reason="no path: \x1b"))
    assert capsys.readouterr().err == "left out: a\\x1b[31mred\\ud800: no path: \\x1b\n"


@pytest.mark.parametrize("end", ['"', "' + str(undefined)"])
def test_a_configuration_file_that_is_wrong_tells_nothing_of_what_is_in_it(
    end: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "wrong.py"
    file.write_text(f"c = get_config()\nc.S3Storage.secret_access_key = 'precious{end}\n")
    assert main(["copy", str(tmp_path), str(tmp_path / "to"), "--source-config", str(file)]) == 2
    told = capsys.readouterr().err
    assert "cannot be read: it ends with" in told
    assert "precious" not in told
