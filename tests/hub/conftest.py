"""One Hub on one bucket, with several people at once; what they did is told at the end."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import boto3
import pytest

from jupyter_nbforge.testing.processes import free_port
from jupyter_nbforge.testing.servers import REGION, SeaweedServer
from tests.upstream.clouds import cloud_on
from tests.upstream.other_client import OtherClient

from .people import Answer, Person
from .processes import Hub, Proxy

BUCKET = "team"
PEOPLE = ("ada", "bob", "eve", "%2e%2e%2fbob")
"""The last one is what somebody may choose who wants to be taken for bob."""
GROUPS = {"physics": ("ada", "bob"), "biology": ("ada",)}

NAMED = "gpu"
"""A second server of the first one."""

SECRET = "for my eyes only"
"""Stands in files that nobody but their owner may read."""

_TOTALS = pytest.StashKey["Totals"]()


@dataclass
class Totals:
    """What the summary tells."""

    people: int = 0
    saves: int = 0
    refusals: int = 0
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0


@dataclass(frozen=True)
class World:
    """A running Hub, the people with their servers, and another program on the same bucket."""

    hub: Hub
    proxy: Proxy
    store: OtherClient
    people: tuple[Person, ...]
    admin: Person
    totals: Totals
    uploads: Callable[[], list[str]]
    """The keys of the multipart uploads in the bucket that are not finished."""

    def person(self, name: str) -> Person:
        return next(person for person in self.people if person.name == name)

    def newcomer(self, name: str) -> Person:
        """Somebody more, who has logged in and has no server yet."""
        person = Person(self.hub, name)
        person.log_in()
        return person


def saved(world: World, answer: Answer) -> Answer:
    """The answer to a save that succeeded, counted."""
    assert answer.status in (200, 201), answer
    world.totals.saves += 1
    return answer


def refused(world: World, answer: Answer, *statuses: int) -> Answer:
    """The answer to what is not allowed, counted; nothing secret is in it."""
    assert answer.status in statuses, answer
    assert SECRET not in json.dumps(answer.body)
    world.totals.refusals += 1
    return answer


@pytest.fixture(scope="package")
def world(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[World]:
    totals = pytestconfig.stash.setdefault(_TOTALS, Totals())
    home = tmp_path_factory.mktemp("hub")
    token, port = secrets.token_hex(16), free_port()
    with SeaweedServer(home / "store", keep=False) as store, Proxy(port, token) as proxy:
        client = cloud_on(store, BUCKET, home).client()
        hub = Hub(home, proxy, port, token, _environ(store, home))
        with hub:
            people = tuple(Person(hub, name) for name in PEOPLE)
            admin = Person(hub, "admin")
            totals.people = len(people)
            try:
                with ThreadPoolExecutor() as pool:
                    list(pool.map(Person.log_in, (*people, admin)))
                    for group, members in GROUPS.items():
                        admin.ask_hub("POST", f"groups/{group}", {"users": list(members)})
                    starts = [pool.submit(person.start) for person in people]
                    starts.append(pool.submit(people[0].start, NAMED))
                    for start in starts:
                        start.result()
                yield World(hub, proxy, client, people, admin, totals, partial(_uploads, store))
            finally:
                _stop_all(admin)
                client.close()
    totals.seconds = time.monotonic() - totals.began


def _environ(store: SeaweedServer, home: Path) -> dict[str, str]:
    """What the example expects: names of files and addresses, no key."""
    credentials = home / "credentials"
    credentials.write_text(
        "[default]\n"
        f"aws_access_key_id = {store.access_key}\naws_secret_access_key = {store.secret_key}\n"
    )
    return {
        "TEAM_STORE": f"s3://{BUCKET}",
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": store.endpoint_url,
        "AWS_SHARED_CREDENTIALS_FILE": str(credentials),
    }


def _uploads(store: SeaweedServer) -> list[str]:
    client = boto3.client(
        "s3",
        endpoint_url=store.endpoint_url,
        region_name=REGION,
        aws_access_key_id=store.access_key,
        aws_secret_access_key=store.secret_key,
    )
    with closing(client):
        found = client.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])
    return [upload["Key"] for upload in found]


def _stop_all(admin: Person) -> None:
    found = admin.ask_hub("GET", "users?state=active")
    people = [Person(admin.hub, user["name"]) for user in found.body]
    for person in people:
        person.token = admin.token
    with ThreadPoolExecutor() as pool:
        for person, user in zip(people, found.body, strict=True):
            for server in user["servers"]:
                pool.submit(person.stop, server)


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    totals = config.stash.get(_TOTALS, None)
    if totals is not None:
        terminalreporter.write_line(
            f"JupyterHub: {totals.people} people at once, {totals.saves} saves,"
            f" {totals.refusals} refusals, {totals.seconds:.0f} s"
        )
