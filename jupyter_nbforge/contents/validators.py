"""ETag and Last-Modified of an object, and the conditions that a request puts on them.

The rules are those of RFC 9110, sections 8.8 and 13.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime, parsedate_to_datetime
from http import HTTPStatus
from urllib.parse import quote, unquote

from ..storage.types import ObjectMeta, Version

_TAG = re.compile(r'(?P<weak>W/)?(?P<tag>"[\x21\x23-\x7e\x80-\xff]*")')
_PLAIN = re.compile(r'"[!#-<>-~][!#-~]*"')
_ENCODED = '"='
_ANY = "*"
_HEADER_VALUE = re.compile(r"[!-~]+")


def etag_of(version: Version) -> str:
    """The strong ETag of a version: itself where the store's own is one, else made of it."""
    if _PLAIN.fullmatch(version):
        return version
    return f'{_ENCODED}{quote(version, safe="")}"'


def version_of(etag: str) -> Version | None:
    """The version of which `etag_of` made this; None: none that a store should be asked for.

    A tag may be anybody's invention, and providers put versions into headers as they are.
    """
    version = unquote(etag[len(_ENCODED) : -1]) if etag.startswith(_ENCODED) else etag
    asked = _HEADER_VALUE.fullmatch(version) and version != _ANY
    return Version(version) if asked else None


def last_modified_of(meta: ObjectMeta) -> str:
    """The value of Last-Modified: whole seconds."""
    return format_datetime(_second(meta), usegmt=True)


@dataclass(frozen=True, slots=True)
class Conditions:
    """The conditional headers of one request; None: not given."""

    if_match: str | None = None
    if_none_match: str | None = None
    if_modified_since: str | None = None
    if_unmodified_since: str | None = None
    if_range: str | None = None

    @classmethod
    def of(cls, headers: Mapping[str, str]) -> Conditions:
        """Those among `headers`."""
        return cls(
            headers.get("If-Match"),
            headers.get("If-None-Match"),
            headers.get("If-Modified-Since"),
            headers.get("If-Unmodified-Since"),
            headers.get("If-Range"),
        )

    @property
    def any_is_known(self) -> bool:
        """Whether the client wants none that exists, whatever version it is."""
        return (self.if_none_match or "").strip() == _ANY

    @property
    def cached(self) -> Version | None:
        """A version that need not be sent again, to be given to the store; None: none, or it
        is not for the store to decide."""
        if self.if_match is not None or self.if_unmodified_since is not None:
            return None
        tags = _tags(self.if_none_match)
        return version_of(tags[0][1]) if tags else None

    @property
    def if_range_version(self) -> Version | None:
        """The version of which If-Range wants a part; None: no version, or not for sure one."""
        tags = _tags(self.if_range)
        weak, tag = tags[0] if len(tags) == 1 else (True, "")
        return None if weak else version_of(tag)

    @property
    def if_range_date(self) -> datetime | None:
        """The date of which If-Range wants a part."""
        return None if self.if_range is None or _tags(self.if_range) else _date(self.if_range)

    def status(self, meta: ObjectMeta) -> HTTPStatus | None:
        """304 or 412 where the conditions say so of this object; None: go on."""
        if self.if_match is not None:
            if not _has(self.if_match, meta, strong=True):
                return HTTPStatus.PRECONDITION_FAILED
        else:
            latest = _date(self.if_unmodified_since)
            if latest is not None and _second(meta) > latest:
                return HTTPStatus.PRECONDITION_FAILED
        if self.if_none_match is not None:
            known = _has(self.if_none_match, meta, strong=False)
            return HTTPStatus.NOT_MODIFIED if known else None
        since = _date(self.if_modified_since)
        return HTTPStatus.NOT_MODIFIED if since is not None and _second(meta) <= since else None

    def allow_part(self, meta: ObjectMeta, now: datetime) -> bool:
        """Whether the client may get a part of this object, after what If-Range says it has.

        A date tells one version from another only if its second was over when the object
        was looked at: it may be written twice in one second.
        """
        if self.if_range is None:
            return True
        if self.if_range_version is not None:
            return self.if_range_version == meta.version
        settled = now - _second(meta) > timedelta(seconds=1)
        return settled and self.if_range_date == _second(meta)


def _has(field: str, meta: ObjectMeta, *, strong: bool) -> bool:
    """Whether a list of tags, or ``*``, names this object; weak tags only if not `strong`."""
    own = etag_of(meta.version)
    tags = (tag for weak, tag in _tags(field) if not (strong and weak))
    return field.strip() == _ANY or own in tags


def _tags(field: str | None) -> list[tuple[bool, str]]:
    """The tags of a list, each with whether it is weak."""
    return [(bool(found["weak"]), found["tag"]) for found in _TAG.finditer(field or "")]


def _date(field: str | None) -> datetime | None:
    """An HTTP date; None where there is none, or not one."""
    if field is None:
        return None
    try:
        found = parsedate_to_datetime(field)
    except (ValueError, OverflowError):
        return None
    return found if found.tzinfo is not None else found.replace(tzinfo=timezone.utc)


def _second(meta: ObjectMeta) -> datetime:
    return meta.last_modified.astimezone(timezone.utc).replace(microsecond=0)
