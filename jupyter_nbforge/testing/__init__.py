"""Tools for tests, shipped for writers of other providers.

The conformance suite needs pytest; the servers, which the demo uses too, do not.
"""

from __future__ import annotations

import sys

if "pytest" in sys.modules:
    import pytest

    # Before any of them is imported: a failed assertion shall show its values there as well.
    pytest.register_assert_rewrite(
        *(
            f"{__name__}.{module}"
            for module in ("suite", "objects", "conditions", "listings", "transfers")
        )
    )
