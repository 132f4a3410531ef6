"""The tests see nothing of the clouds and proxies of whoever runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
NOWHERE = "http://127.0.0.1:9"

THEIRS = {
    "AWS_PROFILE": "nobody",
    "AWS_SESSION_TOKEN": "of-another-session",
    "AWS_ENDPOINT_URL": NOWHERE,
    "AWS_CA_BUNDLE": "/nonexistent",
    "S3_PREFIX": "elsewhere",
    "STORAGE_PROVIDER": "s3",
    "HTTP_PROXY": NOWHERE,
    "http_proxy": NOWHERE,
}
RULE = "tests/server/test_links.py::test_a_link_can_be_to_show_and_not_to_save[seaweedfs]"


def test_a_test_on_a_real_server_passes_whatever_the_environment() -> None:
    kept = {name: value for name, value in os.environ.items() if name.lower() != "no_proxy"}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", RULE],
        cwd=ROOT,
        env={**kept, **THEIRS},
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert done.returncode == 0, done.stdout
