"""S3Storage keeps the rules of the storage interface, on two real servers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

import pytest

from jupyter_nbforge.storage.s3 import S3Storage
from jupyter_nbforge.storage.types import Capabilities
from jupyter_nbforge.testing.conditions import ConditionRules
from jupyter_nbforge.testing.conformance import StorageConformance
from jupyter_nbforge.testing.s3_dialects import CONDITIONS, WeakerS3
from jupyter_nbforge.testing.servers import MotoServer, SeaweedServer
from jupyter_nbforge.testing.transfers import TransferRules

from .conftest import MakeS3
from .probe_world import in_a_thread

MOTO = "https://github.com/getmoto/moto"
SEAWEED = "https://github.com/seaweedfs/seaweedfs"

# Of S3 itself: an ETag is made from the bytes.
SAME_BYTES = (
    "the same bytes have the same ETag, "
    "https://docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html"
)


class TestMoto(StorageConformance):
    capabilities = Capabilities(presigned_urls=True, checked_writes=True)
    many = 1100
    known_weaknesses: ClassVar[Mapping[str, str]] = {
        "test_every_write_changes_the_version": SAME_BYTES,
    }
    unprovable: ClassVar[Mapping[str, str]] = {
        "test_of_concurrent_copies_to_one_target_one_wins": f"{MOTO}: If-None-Match is ignored",
        "test_no_read_sees_two_writes_mixed": f"{MOTO}: 500 where a key is overwritten at once",
    }

    @pytest.fixture
    def storage(self, moto_server: MotoServer, make_s3: MakeS3) -> S3Storage:
        return make_s3(moto_server)


class TestSeaweed(StorageConformance):
    capabilities = Capabilities(ordered_listing=False, presigned_urls=True, checked_writes=True)
    many = 1100
    known_weaknesses: ClassVar[Mapping[str, str]] = {
        "test_every_write_changes_the_version": SAME_BYTES,
        "test_a_prefix_leads_nowhere_else": f"{SEAWEED}: takes a//b for a/b",
        "test_deleting_all_that_is_listed_leaves_nothing": f"{SEAWEED}: a folder stays a while",
        "test_a_folder_marker_round_trips": f"{SEAWEED}: a marker keeps no metadata",
        "test_an_odd_name_round_trips[backslash]": f"{SEAWEED}: takes a backslash for a slash",
    }

    @pytest.fixture
    def storage(self, seaweed_server: SeaweedServer, make_s3: MakeS3) -> S3Storage:
        return make_s3(seaweed_server)


@pytest.fixture(scope="module")
def ignoring(seaweed_server: SeaweedServer) -> Iterator[WeakerS3]:
    with in_a_thread(WeakerS3(seaweed_server, ignored=CONDITIONS)) as proxy:
        yield proxy


class TestIgnoring(ConditionRules, TransferRules):
    """A store that ignores every condition: what a look can do, it does."""

    capabilities = Capabilities(ordered_listing=False, presigned_urls=True, checked_writes=True)
    known_weaknesses: ClassVar[Mapping[str, str]] = {
        "test_every_write_changes_the_version": SAME_BYTES,
    }
    unprovable: ClassVar[Mapping[str, str]] = {
        f"test_of_concurrent_{name}_one_wins": "between the look and the write others come"
        for name in ("creates", "replaces", "conditional_deletes", "copies_to_one_target")
    }

    @pytest.fixture
    def storage(
        self, seaweed_server: SeaweedServer, make_s3: MakeS3, ignoring: WeakerS3
    ) -> S3Storage:
        return make_s3(seaweed_server, endpoint_url=ignoring.endpoint_url)
