"""The tests of jupyter_server's source distribution, unpacked outside this repository."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from email.parser import HeaderParser
from importlib.metadata import version
from pathlib import Path

from platformdirs import user_cache_path

_NEEDED = ("tests/conftest.py", "tests/utils.py", "tests/services/contents/test_manager.py")


def unpacked_tests() -> Path:
    """A directory that holds `tests/` and `pyproject.toml` of the installed jupyter_server.

    Fetched once per version with pip (which checks the index's digest) into the user's
    cache. Only the tests are unpacked, so that the installed package is what they import.
    """
    wanted = version("jupyter_server")
    target = user_cache_path("jupyter_nbforge") / f"jupyter_server-{wanted}-tests"
    if not target.is_dir():
        archive = _download(wanted, target.parent)
        staging = target.with_name(target.name + ".part")
        shutil.rmtree(staging, ignore_errors=True)
        _unpack(archive, staging, wanted)
        staging.rename(target)
    return target


def _download(wanted: str, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", f"jupyter_server=={wanted}"),
            *("--no-deps", "--no-binary", "jupyter_server", "--dest", str(folder)),
            *("--quiet", "--disable-pip-version-check"),
        ],
        check=True,
        timeout=300,
    )
    return folder / f"jupyter_server-{wanted}.tar.gz"


def _unpack(archive: Path, target: Path, wanted: str) -> None:
    root = f"jupyter_server-{wanted}/"
    with tarfile.open(archive) as tar:
        metadata = tar.extractfile(root + "PKG-INFO")
        assert metadata is not None
        found = HeaderParser().parsestr(metadata.read().decode())["Version"]
        if found != wanted:
            raise ValueError(f"{archive.name} holds version {found}, not {wanted}")
        for member in tar.getmembers():
            name = member.name.removeprefix(root)
            if name == "pyproject.toml" or name.startswith("tests/"):
                member.name = name
                tar.extract(member, target, filter="data")
    missing = [name for name in _NEEDED if not (target / name).is_file()]
    if missing:
        raise ValueError(f"{archive.name} holds no {', '.join(missing)}")
