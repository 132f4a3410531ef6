"""What of AzureStorage needs no server: its options, their faults, and what stays hidden."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from traitlets import TraitError
from traitlets.config import Config

from jupyter_nbforge.storage import create_storage_service
from jupyter_nbforge.storage.azure import AzureStorage
from jupyter_nbforge.storage.base import BaseStorageService
from jupyter_nbforge.storage.errors import ConfigurationError, MissingExtraError

KEY = "U0VDUkVUU0VDUkVU"
SAS = "?sv=2024-08-04&sr=c&sp=racwdl&sig=SECRETSECRET"
CONNECTION = f"DefaultEndpointsProtocol=https;AccountName=team;AccountKey={KEY};"
TEAM = {"container": "notebooks", "account_name": "team"}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({}, "storage_url"),
        ({"container": ""}, "storage_url"),
        ({**TEAM, "container": "a"}, "container name"),
        ({**TEAM, "container": "My"}, "container name"),
        ({**TEAM, "container": "my--container"}, "container name"),
        ({**TEAM, "container": "my/container"}, "container name"),
        ({"container": "notebooks"}, "account_name"),
        ({**TEAM, "account_name": "My Team"}, "storage account"),
        ({**TEAM, "account_url": "team.blob.core.windows.net"}, "account_url"),
        ({**TEAM, "account_url": "ftp://team"}, "account_url"),
        ({**TEAM, "account_url": "http://"}, "account_url"),
        ({**TEAM, "account_url": "https://team:port"}, "account_url"),
        ({**TEAM, "account_url": "https://team?a=b"}, "account_url"),
        ({**TEAM, "account_url": "https://team.blob.core.windows.net/notebooks"}, "storage_url"),
        ({**TEAM, "account_url": "https://other.blob.core.windows.net"}, "account_url"),
        ({**TEAM, "account_url": "http://127.0.0.1:10000/team"}, "https://"),
        ({**TEAM, "account_key": "not base64!"}, "base64"),
        ({**TEAM, "account_key": KEY[:-1]}, "base64"),
        ({**TEAM, "account_key": KEY, "sas_token": SAS}, "sas_token"),
        ({**TEAM, "account_key": KEY, "anonymous": True}, "anonymous"),
        ({**TEAM, "connection_string": CONNECTION, "account_key": KEY}, "connection_string"),
        ({**TEAM, "sas_token": "sv=2024"}, "signature"),
        ({**TEAM, "account_key": KEY, "managed_identity_client_id": "id"}, "managed_identity"),
        ({**TEAM, "connection_string": "what"}, "connection_string"),
        ({**TEAM, "connection_string": "AccountName=team"}, "connection_string"),
        ({**TEAM, "connection_string": "UseDevelopmentStorage=true"}, "account_url"),
        ({**TEAM, "connection_string": "AccountName=team;AccountKey=x"}, "base64"),
        ({**TEAM, "ca_bundle": "/no/such/file"}, "ca_bundle"),
        ({**TEAM, "ca_bundle": __file__, "verify_tls": False}, "verify_tls"),
    ],
)
def test_a_fault_is_one_sentence_that_names_the_option(options: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AzureStorage(**options)
    assert named in caught.value.message
    assert caught.value.message.endswith(".")
    assert "\n" not in caught.value.message
    assert "SECRETSECRET" not in str(caught.value)
    assert KEY[:-1] not in str(caught.value)


def test_a_tier_that_cannot_be_read_at_once_is_refused() -> None:
    with pytest.raises(TraitError):
        AzureStorage(**TEAM, access_tier="Archive")
    with pytest.raises(ConfigurationError, match="access_tier"):
        create_storage_service("az://notebooks", account_name="team", access_tier="Archive")


@pytest.mark.parametrize("container", ["abc", "my-container-1", "$root", "0" * 63])
def test_a_container_name_of_azure_is_taken(container: str) -> None:
    assert AzureStorage(container=container, account_name="team").url == f"az://{container}"


@pytest.mark.parametrize(
    ("options", "url", "name"),
    [
        ({"account_name": "team"}, "https://team.blob.core.windows.net", "team"),
        (
            {"account_url": "https://team.blob.core.chinacloudapi.cn/"},
            "https://team.blob.core.chinacloudapi.cn",
            "team",
        ),
        (
            {"account_url": "http://127.0.0.1:10000/devstore", "account_key": KEY},
            "http://127.0.0.1:10000/devstore",
            "devstore",
        ),
        (
            {"account_url": "https://files.team.example", "account_name": "team"},
            "https://files.team.example",
            "team",
        ),
        ({"connection_string": CONNECTION}, "https://team.blob.core.windows.net", "team"),
        (
            {"connection_string": f"{CONNECTION}EndpointSuffix=core.usgovcloudapi.net"},
            "https://team.blob.core.usgovcloudapi.net",
            "team",
        ),
        (
            {
                "connection_string": "BlobEndpoint=https://team.blob.core.windows.net/;"
                f"SharedAccessSignature={SAS}"
            },
            "https://team.blob.core.windows.net",
            "team",
        ),
    ],
)
def test_the_account_is_found_in_what_is_given(
    options: dict[str, Any], url: str, name: str
) -> None:
    account = AzureStorage(container="notebooks", **options).check_options()
    assert (account.url, account.name) == (url, name)


def test_options_come_from_traitlets_configuration() -> None:
    config = Config({"AzureStorage": {**TEAM, "access_tier": "Cool"}})
    storage = AzureStorage(config=config)
    assert storage.container == "notebooks"
    assert storage.write_options() == {"standard_blob_tier": "Cool"}


def test_every_option_explains_itself() -> None:
    own = set(AzureStorage.class_traits(config=True)) - set(BaseStorageService.class_traits())
    assert len(own) > 14
    for name in own:
        assert AzureStorage.class_traits()[name].help.endswith("."), name


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("az://notebooks", {"container": "notebooks", "prefix": ""}),
        ("azure://notebooks/", {"container": "notebooks", "prefix": ""}),
        ("az://notebooks/a/b c/", {"container": "notebooks", "prefix": "a/b c"}),
        (
            "az://notebooks@team.blob.core.windows.net/a",
            {
                "container": "notebooks",
                "prefix": "a",
                "account_url": "https://team.blob.core.windows.net",
            },
        ),
    ],
)
def test_a_url_names_container_and_prefix(url: str, expected: dict[str, str]) -> None:
    assert AzureStorage.options_from_url(urlsplit(url)) == expected


@pytest.mark.parametrize(
    "url",
    [
        "az://notebooks:SECRETSECRET@team.blob.core.windows.net",
        "az://team.blob.core.windows.net:443/notebooks",
        "az://notebooks@team.dfs.core.windows.net",
        "az://notebooks@127.0.0.1",
        "az://b/p?x=1",
        "az://b/p#x",
    ],
)
def test_a_url_with_more_in_it_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(ConfigurationError, match="account_url") as caught:
        AzureStorage.options_from_url(urlsplit(url))
    assert "SECRETSECRET" not in str(caught.value)


def test_the_environment_names_what_the_azure_cli_and_adlfs_do() -> None:
    environ = {
        "AZURE_CONTAINER": "notebooks",
        "AZURE_PREFIX": "home",
        "AZURE_STORAGE_ACCOUNT": "team",
        "AZURE_STORAGE_KEY": KEY,
        "AZURE_STORAGE_SOMETHING": "else",
    }
    assert AzureStorage.options_from_environment(environ) == {
        "container": "notebooks",
        "prefix": "home",
        "account_name": "team",
        "account_key": KEY,
    }
    environ = {"AZURE_STORAGE_ACCOUNT_NAME": "team", "AZURE_STORAGE_SAS_TOKEN": SAS}
    assert AzureStorage.options_from_environment(environ) == {
        "account_name": "team",
        "sas_token": SAS,
    }
    environ = {"AZURE_STORAGE_CONNECTION_STRING": CONNECTION, "AZURE_STORAGE_ACCOUNT": "other"}
    assert AzureStorage.options_from_environment(environ) == {"connection_string": CONNECTION}
    assert AzureStorage.options_from_environment({"AZURE_CONTAINER": ""}) == {}


@pytest.mark.parametrize("name", ["az", "azure"])
def test_the_environment_is_enough(name: str) -> None:
    environ = {
        "STORAGE_PROVIDER": name,
        "AZURE_CONTAINER": "notebooks",
        "AZURE_STORAGE_CONNECTION_STRING": CONNECTION,
    }
    storage = create_storage_service(environ=environ)
    assert storage.url == "az://notebooks"


def test_no_secret_shows() -> None:
    for secret in ({"account_key": KEY}, {"sas_token": SAS}, {"connection_string": CONNECTION}):
        storage = AzureStorage(**TEAM, **secret)
        connection = storage._connection
        for shown in (repr(storage), str(storage), storage.url, repr(connection.account)):
            assert KEY not in shown
            assert "SECRETSECRET" not in shown
        assert repr(storage) == "AzureStorage('az://notebooks')"


def test_a_secret_of_the_wrong_type_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as caught:
        create_storage_service("az://notebooks", account_name="team", account_key=[KEY])
    assert KEY not in str(caught.value)


def test_capabilities_follow_the_options() -> None:
    usual = AzureStorage(**TEAM, hierarchical_namespace=False).capabilities
    assert usual.conditional_put
    assert usual.conditional_copy
    assert usual.conditional_delete
    assert usual.ordered_listing
    assert usual.file_beside_folder
    assert usual.presigned_urls
    assert usual.presigned_put_headers == (("x-ms-blob-type", "BlockBlob"),)
    assert usual.max_part_size == 4000 * 2**20
    assert usual.max_parts == 50_000
    assert not AzureStorage(**TEAM, sas_token=SAS).capabilities.presigned_urls
    assert not AzureStorage(**TEAM, anonymous=True).capabilities.presigned_urls
    assert not AzureStorage(**TEAM, hierarchical_namespace=True).capabilities.file_beside_folder
    assert AzureStorage(**TEAM).capabilities.file_beside_folder
    for known in (True, None):
        storage = AzureStorage(**TEAM, hierarchical_namespace=known)
        assert not storage.capabilities.ordered_listing


def test_a_storage_is_made_without_the_sdk(tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from jupyter_nbforge.storage.azure import AzureStorage\n"
        "AzureStorage(container='notebooks', account_name='team')\n"
        "print(sorted(sys.modules.keys() & {'azure.core', 'azure.storage.blob', "
        "'azure.identity', 'aiohttp'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("module", ["azure.storage.blob", "azure.identity", "aiohttp"])
def test_a_missing_sdk_is_named_with_its_extra(
    module: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"pip install 'jupyter-nbforge\[azure\]'"):
        AzureStorage(**TEAM)
