"""What a store other than Amazon's honours of the conditions of writes is found out."""

from __future__ import annotations

import pytest

from jupyter_nbforge.testing.s3_dialects import CONDITIONS
from jupyter_nbforge.testing.servers import SeaweedServer

from .conftest import MakeS3
from .probe_world import FEATURES, check_every_condition, said, weaker

IGNORED = [(), *((name,) for name in FEATURES), tuple(CONDITIONS)]


@pytest.mark.parametrize("ignored", IGNORED, ids=lambda names: "+".join(names)[:40] or "nothing")
async def test_what_a_store_ignores_is_found_out_said_once_and_met_by_a_look(
    ignored: tuple[str, ...],
    seaweed_server: SeaweedServer,
    make_s3: MakeS3,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with weaker(seaweed_server, make_s3, ignored=ignored) as (storage, _):
        for _ in range(1 if len(ignored) == 1 else 2):
            await check_every_condition(storage)
        for name, feature in FEATURES.items():
            known = storage._conditions.known(feature)
            assert known is not None
            assert (known.taken, known.kept, known.quoted) == (True, name not in ignored, True)
    sentences = said(caplog)
    assert len(sentences) == len([name for name in FEATURES if name in ignored])
    assert all(storage.url in text and "does not honour" in text for text in sentences)


@pytest.mark.parametrize(
    ("names", "status"),
    [(CONDITIONS, 400), (CONDITIONS[::2], 501), (CONDITIONS[1::2], 501)],
    ids=["all", "these", "those"],
)
async def test_a_condition_that_a_store_refuses_is_not_sent(
    names: tuple[str, ...], status: int, seaweed_server: SeaweedServer, make_s3: MakeS3
) -> None:
    answers = dict.fromkeys(names, status)
    async with weaker(seaweed_server, make_s3, refused=answers) as (storage, _):
        await check_every_condition(storage)
        for name, feature in FEATURES.items():
            known = storage._conditions.known(feature)
            assert known is not None
            assert (known.taken, known.kept) == ((False, False) if name in names else (True, True))


async def test_etags_go_without_quotes_where_the_store_wants_them_so(
    seaweed_server: SeaweedServer, make_s3: MakeS3, caplog: pytest.LogCaptureFixture
) -> None:
    async with weaker(seaweed_server, make_s3, bare_etags=True) as (storage, _):
        await check_every_condition(storage)
        for feature in FEATURES.values():
            known = storage._conditions.known(feature)
            assert known is not None
            assert known.kept
            assert known.quoted is not feature.endswith(("_match", "_source"))
    assert said(caplog) == []
