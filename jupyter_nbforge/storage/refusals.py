"""What the error tables of the cloud providers have in common: rules, and errors made from them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

from .errors import StorageError
from .types import WriteCondition


@dataclass(frozen=True, slots=True)
class Rule:
    """What an answer means.

    `sentence` may name {path}, {bucket} (the container, on Azure), {endpoint}, {code} and what
    else `error_of` is given. `refused` says that the store surely did not do what was asked;
    else a write that failed so has an unknown outcome.
    """

    error: type[StorageError]
    sentence: str
    retryable: bool = False
    refused: bool = True


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked of which store, for the sentence and for what a refusal means."""

    bucket: str
    endpoint: str
    path: str | None = None
    condition: WriteCondition | None = None
    write: bool = False


def error_of(
    rule: Rule,
    call: Call,
    *,
    code: str,
    retry_after: float | None = None,
    **words: str,
) -> StorageError:
    """The error that `rule` makes of a failed `call`; `code` is the store's word for it."""
    sentence = rule.sentence.format(
        path=repr(call.path) if call.path else "the storage",
        bucket=call.bucket,
        endpoint=call.endpoint,
        code=code,
        **words,
    )
    return rule.error(
        sentence,
        path=call.path,
        retryable=rule.retryable,
        outcome_unknown=call.write and not rule.refused,
        retry_after=retry_after,
    )


def retry_seconds(headers: Mapping[str, str]) -> float | None:
    """The Retry-After header, seconds or an HTTP date, as seconds from now; None if not given."""
    retry_after = next((headers[name] for name in headers if name.lower() == "retry-after"), None)
    if retry_after is None:
        return None
    if retry_after.isascii() and retry_after.isdigit():
        return float(retry_after)
    try:
        moment = parsedate_to_datetime(retry_after)
    except ValueError:
        return None
    return max(0.0, moment.timestamp() - time.time())
