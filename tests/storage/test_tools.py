"""What other tools of a cloud are told: the URL of an object, and how its store is reached."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from jupyter_nbforge import create_storage_service
from jupyter_nbforge.storage import BaseStorageService

SECRET = "c2VjcmV0"
KEYS = {"access_key_id": "AKIA", "secret_access_key": SECRET, "session_token": "token"}
AZURE = {"account_name": "account"}
ENDPOINT = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def nothing_configured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials of the machine are found."""
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.mark.parametrize("prefix", ["", "/a b"])
@pytest.mark.parametrize(
    ("start", "options"),
    [("s3://bucket", {}), ("gs://bucket", {}), ("az://container", AZURE), ("memory://name", {})],
)
def test_the_url_of_a_path_is_below_the_url_of_the_storage(
    start: str, options: dict[str, str], prefix: str
) -> None:
    storage = create_storage_service(start + prefix, **options)
    assert storage.url_of("") == storage.url == start + prefix
    assert storage.url_of("folder") == f"{start}{prefix}/folder"
    assert storage.url_of("folder/é %20.ipynb") == f"{start}{prefix}/folder/é %20.ipynb"


def test_the_url_of_a_file_on_disk_names_it_as_it_is_written(tmp_path: Path) -> None:
    storage = create_storage_service("file", root=str(tmp_path), prefix="a b")
    assert storage.url_of("c d.csv") == f"file://{tmp_path}/a b/c d.csv"
    assert storage.url_of("") == f"file://{tmp_path}/a b"


async def told(storage: BaseStorageService, *, credentials: bool) -> dict[str, str]:
    try:
        return await storage.tool_environment("folder/a.ipynb", credentials=credentials)
    finally:
        await storage.aclose()


async def test_other_tools_find_a_store_that_is_elsewhere_and_no_secret() -> None:
    places = {"endpoint_url": ENDPOINT, "region_name": "here"}
    assert await told(
        create_storage_service("s3://bucket", **places, **KEYS), credentials=False
    ) == {
        "AWS_ENDPOINT_URL_S3": ENDPOINT,
        "AWS_DEFAULT_REGION": "here",
    }
    storage = create_storage_service("gs://bucket", endpoint_url=ENDPOINT)
    assert await told(storage, credentials=False) == {"FSSPEC_GS_ENDPOINT_URL": ENDPOINT}
    storage = create_storage_service("az://container", account_key=SECRET, **AZURE)
    assert await told(storage, credentials=False) == {"AZURE_STORAGE_ACCOUNT_NAME": "account"}
    assert await told(create_storage_service("memory"), credentials=True) == {}


async def test_the_keys_that_requests_to_s3_are_signed_with_are_told_when_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = {
        "AWS_ACCESS_KEY_ID": "AKIA",
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": "token",
    }
    region = {"region_name": "here"}
    storage = create_storage_service("s3://bucket/prefix", **region, **KEYS)
    assert await told(storage, credentials=True) == {"AWS_DEFAULT_REGION": "here", **given}
    file = tmp_path / "credentials"
    file.write_text(f"[one]\naws_access_key_id = other\naws_secret_access_key = {SECRET}\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    found = await told(
        create_storage_service("s3://bucket", profile_name="one", **region), credentials=True
    )
    assert found["AWS_ACCESS_KEY_ID"] == "other"
    assert "AWS_SESSION_TOKEN" not in found
    storage = create_storage_service("s3://bucket", anonymous=True, **region)
    assert await told(storage, credentials=True) == {"AWS_DEFAULT_REGION": "here"}


async def test_the_file_of_google_credentials_is_told_when_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "key.json"
    file.write_text(json.dumps({}))
    options = {"credentials_file": str(file), "endpoint_url": ENDPOINT}
    found = await told(create_storage_service("gs://bucket", **options), credentials=True)
    assert found["GOOGLE_APPLICATION_CREDENTIALS"] == str(file)
    found = await told(create_storage_service("gs://bucket", **options), credentials=False)
    assert "GOOGLE_APPLICATION_CREDENTIALS" not in found


@pytest.mark.parametrize(
    ("secret", "variable", "part"),
    [
        ({"account_key": SECRET}, "AZURE_STORAGE_KEY", f"AccountKey={SECRET}"),
        (
            {"sas_token": "?sp=r&sig=a"},
            "AZURE_STORAGE_SAS_TOKEN",
            "SharedAccessSignature=sp=r&sig=a",
        ),
    ],
)
async def test_the_key_or_signature_of_azure_is_told_when_asked_for(
    secret: dict[str, str], variable: str, part: str
) -> None:
    storage = create_storage_service("az://container", account_url=ENDPOINT, **secret, **AZURE)
    found = await told(storage, credentials=True)
    assert found[variable] == secret.popitem()[1].lstrip("?")
    string = found["AZURE_STORAGE_CONNECTION_STRING"]
    assert string == f"BlobEndpoint={ENDPOINT};AccountName=account;{part}"
    again = create_storage_service("az://container", connection_string=string)
    assert await told(again, credentials=True) == found


async def test_an_azure_identity_has_no_secret_that_could_be_told() -> None:
    storage = create_storage_service("az://container", **AZURE)
    assert await told(storage, credentials=True) == {"AZURE_STORAGE_ACCOUNT_NAME": "account"}
