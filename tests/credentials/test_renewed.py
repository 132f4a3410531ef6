"""Credentials from a function: when it is called, who waits for it, and what is told of it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from types import SimpleNamespace
from typing import Any

import pytest

from jupyter_nbforge.storage import credentials
from jupyter_nbforge.storage.credentials import Lease, RenewedCredentials, moment_of
from jupyter_nbforge.storage.errors import ConfigurationError, UnauthenticatedError
from jupyter_nbforge.storage.factory import create_storage_service

SECRET = "hunter2-hunter2"


class Clock:
    """The time that the credentials see."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(credentials, "time", SimpleNamespace(time=clock.time))
    return clock


class Function:
    """Gives a number and an end; counts its calls, and fails or waits as it is told."""

    def __init__(self, clock: Clock, lifetime: float | None = 1000.0) -> None:
        self.clock = clock
        self.lifetime = lifetime
        self.calls = 0
        self.error: BaseException | None = None
        self.threads: set[int] = set()
        self.may_return = threading.Event()
        self.may_return.set()
        self.returned = threading.Semaphore(0)

    def __call__(self) -> Any:
        self.calls += 1
        number = self.calls
        self.threads.add(threading.get_ident())
        assert self.may_return.wait(30)
        if self.error is not None:
            raise self.error
        ends = None if self.lifetime is None else self.clock.now + self.lifetime
        return number, ends


def renewed(function: Callable[[], Any]) -> RenewedCredentials[int]:
    return RenewedCredentials(function, lambda found: Lease(*found), option="Test.provider")


async def settled(source: RenewedCredentials[int]) -> None:
    """Wait until nothing is being asked."""
    while (asking := source._asking) is not None:
        await asyncio.wait([asyncio.wrap_future(asking)])


async def test_the_function_is_called_once_for_all_who_ask_and_in_another_thread(
    clock: Clock,
) -> None:
    function = Function(clock)
    source = renewed(function)
    assert set(await asyncio.gather(*(source.get() for _ in range(50)))) == {1}
    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: source.now(), range(50))) == {1}
    assert function.calls == 1
    assert function.threads.isdisjoint({threading.get_ident()})


async def test_an_awaitable_is_awaited(clock: Clock) -> None:
    async def function() -> tuple[int, float]:
        await asyncio.sleep(0)
        return 7, clock.now + 100

    assert await renewed(function).get() == 7


@pytest.mark.parametrize(("lifetime", "early"), [(3600.0, 300.0), (1200.0, 300.0), (40.0, 10.0)])
async def test_it_is_called_again_before_the_end_and_nobody_waits_for_that(
    clock: Clock, lifetime: float, early: float
) -> None:
    function = Function(clock, lifetime)
    source = renewed(function)
    assert await source.get() == 1
    clock.now += lifetime - early - 0.5
    assert await source.get() == 1
    assert function.calls == 1
    clock.now += 1.0
    function.may_return.clear()
    assert await source.get() == 1
    assert source.now() == 1
    function.may_return.set()
    await settled(source)
    assert await source.get() == 2
    assert function.calls == 2


async def test_after_the_end_one_waits_for_new_ones(clock: Clock) -> None:
    function = Function(clock)
    source = renewed(function)
    assert await source.get() == 1
    clock.now += 1000.0
    assert await source.get() == 2


async def test_those_without_an_end_are_kept_until_they_are_refused(clock: Clock) -> None:
    function = Function(clock, None)
    source = renewed(function)
    assert await source.get() == 1
    clock.now += 10**9
    assert await source.get() == 1
    assert source.refuse()
    assert not source.refuse()
    assert await source.get() == 2


async def test_a_failure_is_borne_while_the_old_ones_hold_and_repeated_after_a_pause(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    function = Function(clock)
    source = renewed(function)
    assert await source.get() == 1
    function.error = RuntimeError(f"no answer to {SECRET}")
    clock.now += 800.0
    for _ in range(3):
        assert await source.get() == 1
        await settled(source)
    assert function.calls == 2
    clock.now += 6.0
    assert await source.get() == 1
    await settled(source)
    assert function.calls == 3
    assert "it raised RuntimeError" in caplog.text
    assert SECRET not in caplog.text


@pytest.mark.parametrize("error", [ValueError(SECRET), KeyError(SECRET), SystemExit(SECRET)])
async def test_a_failure_is_one_sentence_without_what_the_function_said(
    clock: Clock, error: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    function = Function(clock)
    function.error = error
    source = renewed(function)
    with pytest.raises(UnauthenticatedError) as raised:
        await source.get()
    assert raised.value.message == (
        "The server has got no credentials from the function in Test.provider: it raised"
        f" {type(error).__name__}. Check the function."
    )
    assert raised.value.retryable
    assert raised.value.__cause__ is None
    assert SECRET not in caplog.text
    with pytest.raises(UnauthenticatedError):
        source.now()
    function.error = None
    assert await source.get() == function.calls == 3


async def test_what_has_expired_already_is_not_used(clock: Clock) -> None:
    with pytest.raises(UnauthenticatedError, match="has expired already"):
        await renewed(Function(clock, -1.0)).get()


async def test_who_is_cancelled_takes_the_answer_from_nobody(clock: Clock) -> None:
    function = Function(clock)
    function.may_return.clear()
    source = renewed(function)
    first, second = asyncio.ensure_future(source.get()), asyncio.ensure_future(source.get())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait([first])
    function.may_return.set()
    assert await second == 1
    assert function.calls == 1


async def test_a_function_that_hangs_fails_in_time_and_holds_one_thread_only(
    clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_TIMEOUT", 0.05)
    function = Function(clock)
    function.may_return.clear()
    source = renewed(function)
    for _ in range(3):
        with pytest.raises(UnauthenticatedError, match="has not returned within"):
            await source.get()
        with pytest.raises(UnauthenticatedError, match="has not returned within"):
            source.now()
    assert function.calls == 1
    function.may_return.set()
    await settled(source)


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (None, None),
        (1_700_000_000, 1_700_000_000.0),
        ("2023-11-14T22:13:20Z", 1_700_000_000.0),
        ("2023-11-14T23:13:20+01:00", 1_700_000_000.0),
        (datetime(2023, 11, 14, 22, 13, 20, tzinfo=timezone.utc), 1_700_000_000.0),
        (datetime(2023, 11, 14, 22, 13, 20), 1_700_000_000.0),
    ],
)
def test_an_end_is_read_as_the_clouds_write_it(value: object, moment: float | None) -> None:
    assert moment_of(value) == moment


@pytest.fixture(params=["s3://bucket", "gs://bucket", "az://bucket"])
def option(request: pytest.FixtureRequest) -> tuple[str, dict[str, Any]]:
    more: dict[str, Any] = {"account_name": "account"} if request.param.startswith("az") else {}
    return request.param, more


def test_the_function_may_be_named(option: tuple[str, dict[str, Any]]) -> None:
    url, more = option
    name = f"{__name__}.named_function"
    storage: Any = create_storage_service(
        url, environ={}, wrap=False, credentials_provider=name, **more
    )
    assert storage.credentials_provider is named_function
    assert SECRET not in repr(storage)


def named_function() -> dict[str, str]:
    return {"token": SECRET}


@pytest.mark.parametrize("value", ["nowhere.function", "os.no_such_function", 3, {"a": 1}])
def test_what_is_no_function_is_a_refusal(
    option: tuple[str, dict[str, Any]], value: object
) -> None:
    url, more = option
    with pytest.raises(ConfigurationError, match="credentials_provider"):
        create_storage_service(url, environ={}, credentials_provider=value, **more)


def test_other_credentials_beside_the_function_are_a_refusal(
    option: tuple[str, dict[str, Any]],
) -> None:
    url, more = option
    with pytest.raises(ConfigurationError, match="anonymous has no use"):
        create_storage_service(
            url, environ={}, credentials_provider=named_function, anonymous=True, **more
        )


@pytest.mark.parametrize("found", [None, 3, "text", {}, {"token": ""}, {"AccessKeyId": 1}, []])
async def test_what_is_no_credential_is_told_without_showing_it(
    option: tuple[str, dict[str, Any]], found: object
) -> None:
    url, more = option
    storage = create_storage_service(
        url, environ={}, wrap=False, credentials_provider=lambda: found, **more
    )
    try:
        with pytest.raises(UnauthenticatedError, match="what it returned is not usable"):
            await storage.head("a")
    finally:
        await storage.aclose()
