"""The conformance suite: what every provider and every wrapper promises."""

from __future__ import annotations

from .conditions import ConditionRules
from .links import LinkRules
from .listings import ListingRules
from .objects import ObjectRules
from .transfers import TransferRules
from .uploads import UploadRules


class StorageConformance(
    ObjectRules, ConditionRules, ListingRules, TransferRules, UploadRules, LinkRules
):
    """The rules of the storage interface; one test is one rule.

    A provider inherits them and says which storage is under test::

        import pytest
        from jupyter_nbforge.storage import Capabilities
        from jupyter_nbforge.testing.conformance import StorageConformance

        class TestMyStorage(StorageConformance):
            capabilities = Capabilities(atomic_move=True)     # what MyStorage says of itself
            many = 1200                 # objects of the longest listing; default 2500
            known_weaknesses = {        # strict xfail: it fails once the server is mended
                "test_an_odd_name_round_trips[backslash]": "https://server.example/issues/1",
            }

            @pytest.fixture
            def storage(self, my_server):
                return MyStorage(bucket=my_server.new_bucket())

    `storage` is a plain fixture (with ``yield`` for cleaning up) that returns a storage that
    is empty and was not used yet; the suite uses it on one event loop and closes it there.
    pytest is all that is needed: an ``async def`` test of this class or a child of it becomes
    a plain one that runs on a loop of its own, so no plugin for async tests gets to see it.
    Tests are chosen by the declared `Capabilities`: one that it lacks is tested to raise.
    """
