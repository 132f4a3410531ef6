"""The policy that the command prints is the one that the documentation shows."""

from __future__ import annotations

from pathlib import Path

from jupyter_nbforge.storage import azure_diagnosis, gcs_diagnosis, s3_diagnosis

DOCS = Path(__file__).parents[2] / "docs"


def test_the_policy_for_aws_is_that_of_the_page() -> None:
    text = s3_diagnosis.policy_text("my-bucket", "people/ada/")
    assert f"```json\n{text}\n```" in (DOCS / "s3.md").read_text()


def test_the_command_for_google_is_that_of_the_page() -> None:
    page = [line.strip() for line in (DOCS / "gcs.md").read_text().splitlines()]
    lines = gcs_diagnosis.policy_text("my-bucket", "people/ada/").splitlines()
    start = page.index(lines[0])
    assert page[start : start + len(lines)] == [line.strip() for line in lines]


def test_the_command_for_azure_is_that_of_the_page() -> None:
    text = azure_diagnosis.policy_text("ourteam", "notebooks")
    assert f"```sh\n{text}\n```" in (DOCS / "azure.md").read_text()


def test_without_a_prefix_the_policies_are_for_the_whole_bucket() -> None:
    assert "Condition" not in s3_diagnosis.policy_text("my-bucket", "")
    assert "my-bucket/*" in s3_diagnosis.policy_text("my-bucket", "")
    assert "--condition" not in gcs_diagnosis.policy_text("my-bucket", "")
