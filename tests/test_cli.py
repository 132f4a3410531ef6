"""The command ``jupyter nbforge`` before there is a server: arguments, refusals, samples."""

from __future__ import annotations

import json
from collections.abc import Iterator
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from pathlib import Path

import nbformat
import pytest

import jupyter_nbforge
from jupyter_nbforge.cli import main
from jupyter_nbforge.cli.demo import only_user_of, put_samples, sample_files
from jupyter_nbforge.cli.lab import _last_of_each, read_configuration
from jupyter_nbforge.storage.memory import MemoryStorage
from jupyter_nbforge.testing.servers import SeaweedServer


@pytest.fixture(autouse=True)
def _own_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("JUPYTER_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedServer]:
    with SeaweedServer(tmp_path_factory.mktemp("seaweed"), keep=False) as server:
        server.create_bucket("present")
        yield server


def refusal(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    """Run a command that must fail; returns the one line that it prints."""
    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("jupyter nbforge: ")
    return line


def test_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"jupyter_nbforge {jupyter_nbforge.__version__}\n"


@pytest.mark.parametrize("command", [(), ("lab",), ("demo",)])
def test_help_names_the_command(
    capsys: pytest.CaptureFixture[str], command: tuple[str, ...]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert " ".join(("usage: jupyter nbforge", *command)) in capsys.readouterr().out


def test_lab_refuses_what_is_no_url(capsys: pytest.CaptureFixture[str]) -> None:
    assert "'bucket' is not a storage URL" in refusal(capsys, "lab", "bucket")


def test_lab_without_a_url_and_without_an_environment_says_what_to_give(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("STORAGE_PROVIDER", raising=False)
    line = refusal(capsys, "lab", "--no-browser")
    assert "No storage is configured" in line
    assert "STORAGE_PROVIDER" in line


@pytest.mark.parametrize("by_environment", [True, False])
def test_lab_without_a_url_looks_at_what_is_configured(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    s3: SeaweedServer,
    by_environment: bool,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", s3.access_key)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", s3.secret_key)
    monkeypatch.setenv("S3_ENDPOINT_URL", s3.endpoint_url)
    monkeypatch.setenv("S3_REGION", s3.region)
    arguments = ["--no-browser"]
    if by_environment:
        monkeypatch.setenv("STORAGE_PROVIDER", "s3")
        monkeypatch.setenv("S3_BUCKET", "absent")
    else:
        arguments.append("--NBForgeContentsManager.storage_url=s3://absent")
    assert "The bucket 'absent' does not exist" in refusal(capsys, "lab", *arguments)


def test_lab_refuses_an_unknown_provider_and_names_the_known(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = refusal(capsys, "lab", "ftp://host/dir")
    assert "'ftp'" in line
    assert "az, azure, file, gcs, gs, memory, s3" in line


def test_lab_refuses_a_misspelt_option_and_names_the_right_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    line = refusal(capsys, "lab", "s3://bucket", "--S3Storage.endpoint_ur=http://127.0.0.1")
    assert "'endpoint_url'" in line


def test_lab_refuses_to_start_without_credentials(capsys: pytest.CaptureFixture[str]) -> None:
    line = refusal(capsys, "lab", "s3://bucket", "--S3Storage.endpoint_url=http://127.0.0.1:9")
    assert "AWS_ACCESS_KEY_ID" in line


@pytest.mark.parametrize(
    ("url", "secret", "expected"),
    [
        ("s3://absent", None, "absent"),
        ("s3://present", "wrong-secret", "secret"),
    ],
    ids=["wrong bucket", "wrong secret"],
)
def test_lab_refuses_a_store_that_refuses_it(
    capsys: pytest.CaptureFixture[str],
    s3: SeaweedServer,
    url: str,
    secret: str | None,
    expected: str,
) -> None:
    options = (
        f"--S3Storage.endpoint_url={s3.endpoint_url}",
        f"--S3Storage.region_name={s3.region}",
        f"--S3Storage.access_key_id={s3.access_key}",
        f"--S3Storage.secret_access_key={secret or s3.secret_key}",
    )
    line = refusal(capsys, "lab", url, *options)
    assert expected in line
    assert s3.secret_key not in line
    assert "wrong-secret" not in line


@pytest.mark.parametrize(
    ("missing", "command"),
    [
        ("jupyterlab", ("lab", "memory://")),
        ("jupyterlab", ("demo",)),
        ("aiobotocore", ("demo",)),
    ],
)
def test_missing_package_is_told_with_the_command_that_installs_it(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    missing: str,
    command: tuple[str, ...],
) -> None:
    def without(name: str) -> ModuleSpec | None:
        return None if name == missing else find_spec(name)

    monkeypatch.setattr("jupyter_nbforge.cli.errors.find_spec", without)
    assert "pip install" in refusal(capsys, *command)


def test_configuration_is_that_of_the_files_and_of_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    for application in ("server", "lab"):
        names = ("bucket", "region_name", *(["profile_name"] if application == "server" else []))
        settings = {"S3Storage": dict.fromkeys(names, application)}
        file = tmp_path / f"config/jupyter_{application}_config.json"
        file.write_text(json.dumps(settings))
    read = read_configuration(["--S3Storage.region_name=argument", "--no-browser"])
    expected = {"profile_name": "server", "bucket": "lab", "region_name": "argument"}
    assert read.S3Storage == expected


def test_samples_are_valid_notebooks_without_outputs() -> None:
    samples = dict(sample_files())
    assert "Welcome.ipynb" in samples
    for path, data in samples.items():
        if path.endswith(".ipynb"):
            notebook = nbformat.reads(data.decode(), as_version=4)
            nbformat.validate(notebook)
            assert not any(cell.get("outputs") for cell in notebook.cells)


async def test_samples_never_replace_what_is_there() -> None:
    storage = MemoryStorage()
    await storage.put("Welcome.ipynb", b"mine")
    await put_samples(storage)
    async with storage.get("Welcome.ipynb") as reader:
        assert await reader.read() == b"mine"
    for path, data in sample_files():
        if path != "Welcome.ipynb":
            async with storage.get(path) as reader:
                assert await reader.read() == data


def test_directory_serves_one_demo_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with only_user_of(tmp_path):
        assert "another demo uses" in refusal(capsys, "demo", "--dir", str(tmp_path))


def test_demo_refuses_a_directory_that_cannot_be_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    assert "cannot write to" in refusal(capsys, "demo", "--dir", str(tmp_path / "file"))


def test_an_option_given_again_replaces_ours_and_shows_no_value() -> None:
    given = ["--S3Storage.secret_access_key=a", "--x=1", "--S3Storage.secret_access_key=b", "--x=2"]
    assert _last_of_each(given) == ["--x=1", "--S3Storage.secret_access_key=b", "--x=2"]
