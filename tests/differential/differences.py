"""Where the manager answers otherwise than Jupyter's own, on purpose: what, when and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .answers import CHECKPOINTS_FOLDER
from .operations import Operation

STORED = "stored at "
"""The name of a field that is no part of an answer: what is in the store, at a path."""

NOTHING = "nothing"
"""What such a field says where nothing is."""


@dataclass(frozen=True)
class Found:
    """One named value that is not the same on both sides."""

    operation: Operation
    store: str
    statuses: tuple[int, int]
    field: str
    reference: Any
    ours: Any

    @property
    def about(self) -> str:
        """The field's name without the entry of a listing that it belongs to."""
        return self.field.partition(" of entry ")[0]

    @property
    def in_listing(self) -> bool:
        return " of entry " in self.field

    def status(self, reference: int | range, ours: int | range) -> bool:
        """Whether the two statuses are these, each a number or a range of them."""
        pairs = zip((reference, ours), self.statuses, strict=True)
        return self.field == "status" and all(
            status in wanted if isinstance(wanted, range) else status == wanted
            for wanted, status in pairs
        )


@dataclass(frozen=True)
class Difference:
    """A row of the table: `applies` decides whether a value that differs is this difference.

    With `levels` what is stored differs afterwards too, at the operation's own paths.
    """

    name: str
    what: str
    when: str
    why: str
    applies: Callable[[Found], bool]
    levels: bool = False


OK = range(200, 300)
REFUSED = range(400, 500)

NORMALISED: tuple[tuple[str, str], ...] = (
    (
        "The moments themselves in `last_modified` and `created`",
        "Two servers do not write at the same moment. Whether a file's `last_modified` stays or"
        " moves, from one answer to the next, is the same.",
    ),
    (
        "Whether a file's `last_modified` moves, in a listing on S3 and Azure",
        "A listing shows what is known from the last two seconds, else the store's own time of the"
        " object: that of the copy where a file was moved. The time of the save would be a request"
        " for each file.",
    ),
    (
        "`created`",
        "Object stores know no time of creation; `created` is `last_modified`. On Linux Jupyter's"
        " own manager shows the last change of the inode.",
    ),
    (
        "`last_modified` of a folder",
        "A store has no folders, so none that change with their entries: it is the time of the"
        " folder's marker if that is known, else 1970 in the folder's own model.",
    ),
    (
        "The hash itself, where the algorithms differ",
        "See the table. Whether it stays or moves is the same.",
    ),
    (
        "The order of a listing",
        "The local manager has that of the disk; clients sort.",
    ),
    (
        "The sentence in `message`",
        "Ours says what to do, and names no path of the server's disk. That there is one, and"
        " `reason`, is the same.",
    ),
    (
        "`.ipynb_checkpoints`",
        "Jupyter's own manager keeps checkpoints in a folder of that name beside the files, and"
        " shows it where hidden files are allowed. Ours are never shown.",
    ),
)
"""What is not compared as it stands: what, and why."""


def is_time_of_store(found: Found) -> bool:
    """Whether it is the time in a listing of a store that does not list what was kept."""
    return found.in_listing and found.about == "time moves" and found.store in ("moto", "azure")


def _hash_unasked(found: Found) -> bool:
    names = ("hash", "hash_algorithm")
    return found.about in names and found.reference is None and found.operation.changes


def _no_folder_time(found: Found) -> bool:
    return found.in_listing and found.about in ("created", "last_modified") and not found.ours


def _is_chunk(found: Found) -> bool:
    return found.operation.says("chunk") is not None


def _without_checkpoint(found: Found) -> bool:
    made = found.operation.method == "POST" and not found.operation.tail
    return made and CHECKPOINTS_FOLDER in found.field and found.ours == NOTHING


def _copied_as_it_is(found: Found) -> bool:
    fields = (STORED, "size", "hash", "message", "model")
    # One that cannot be read is refused there whatever the target; here it may be the target.
    status = found.status(400, 201) or found.status(400, 404)
    differs = status or found.field.startswith(fields)
    return (found.operation.source or "").endswith(".ipynb") and differs


def _of_download(found: Found, field: str) -> bool:
    return found.operation.is_download and found.field == field


DIFFERENCES: tuple[Difference, ...] = (
    Difference(
        "hash unasked",
        "`hash` and `hash_algorithm` are filled in, not null.",
        "the answer to a save, a rename or a copy",
        "The hash is known then without a request, and JupyterLab forgets what it knew when it is"
        " null.",
        _hash_unasked,
    ),
    Difference(
        "hash of a folder",
        "`hash` is an empty text; Jupyter's own handler ends in a 500.",
        "a look at a folder with `hash=1`",
        "A folder has no bytes to compare, which is no reason to fail.",
        lambda found: found.status(500, 200) and found.operation.query.get("hash") == "1",
    ),
    Difference(
        "hash algorithm",
        "`hash_algorithm` is `version`, and `hash` the change token of the store. A save of the"
        " same bytes changes it.",
        "files on `LocalStorage`, which keeps no metadata beside a file",
        "The hash is never computed by reading the file. Clients compare it for equality only.",
        lambda found: (
            found.about in ("hash", "hash_algorithm", "hash moves") and found.store == "file"
        ),
    ),
    Difference(
        "folder time in a listing",
        "`last_modified` and `created` are null.",
        "a folder in the listing of another",
        "A listing does not tell it, and a request for each folder would. JupyterLab leaves the"
        " cell blank.",
        _no_folder_time,
    ),
    Difference(
        "checkpoint id",
        "The id is `checkpoint-1` (or `-2`, ...; with a time behind it once the file was moved),"
        " not `checkpoint`.",
        "models of checkpoints, and the `Location` of a new one",
        "A file keeps several checkpoints (`NBForgeCheckpoints.max_checkpoints`, five; the"
        " comparison sets one).",
        lambda found: (
            found.field == "checkpoint id"
            or (found.field == "Location" and found.operation.tail == "checkpoints")
        ),
    ),
    Difference(
        "no checkpoint of a beginning",
        "There is no checkpoint yet; the first save makes one.",
        "after a new untitled notebook, a copy of a notebook, and in the copy of a folder",
        "It would be a request more, to keep what the file itself still is.",
        _without_checkpoint,
        levels=True,
    ),
    Difference(
        "folders on the way",
        "The folders on the way are made; Jupyter's own manager ends in a 500.",
        "a save, or a new folder, below a folder that does not exist",
        "An object needs no folder around it, and other tools write so. To refuse it would cost a"
        " request at each first save.",
        lambda found: found.status(500, 201) and found.operation.method == "PUT",
        levels=True,
    ),
    Difference(
        "a folder moved into none",
        "404; Jupyter's own manager makes the folders on the way, though not for a file.",
        "a rename of a folder to a path below a folder that does not exist",
        "A mistyped name should not make folders; files and folders are treated alike.",
        lambda found: found.status(200, 404) and found.operation.target is not None,
        levels=True,
    ),
    Difference(
        "an error of the request is no 500",
        "400, 404 or 409, with a sentence; Jupyter's own manager fails with a 500, and sometimes"
        " leaves an empty file.",
        "a notebook of a wrong shape, a checkpoint of what does not exist, trust of what is no"
        " notebook, a move into itself or below a file, a file in the place of a folder",
        "The client has asked for what cannot be; the server is not broken.",
        lambda found: found.status(500, REFUSED),
        levels=True,
    ),
    Difference(
        "checkpoints of nothing",
        "An empty list; Jupyter's own manager fails with a 500.",
        "the checkpoints of a path below a file",
        "There are none.",
        lambda found: found.status(500, 200) and found.operation.tail == "checkpoints",
    ),
    Difference(
        "a folder of empty folders",
        "It is deleted; Jupyter's own manager says 400, not empty.",
        "a delete of a folder in which there are folders, but no file",
        "There is nothing in it that could be lost.",
        lambda found: found.status(400, 204) and found.operation.method == "DELETE",
        levels=True,
    ),
    Difference(
        "no copy is hidden",
        "`-Copy1-Copy1.rc`, not `.rc` or `-Copy2.rc`.",
        "a copy of a file whose name begins with `-Copy1.`",
        "The copy would be hidden without the number that an earlier copy gave it.",
        lambda found: (found.operation.source or "").rpartition("/")[2].startswith("-Copy1."),
        levels=True,
    ),
    Difference(
        "trust by content",
        "201; Jupyter's own manager fails with a 500.",
        "trust of a notebook whose name does not end in `.ipynb`",
        "The content is what is trusted.",
        lambda found: found.status(500, 201) and found.operation.tail == "trust",
    ),
    Difference(
        "base64 is checked",
        "400; Jupyter's own manager skips what is not of the alphabet, and stores the rest.",
        "a save of text that is no base64 as base64",
        "Less would be stored than was sent, and nobody would know.",
        lambda found: (
            found.status(OK, 400)
            and found.operation.says("format") == "base64"
            and not _is_chunk(found)
        ),
        levels=True,
    ),
    Difference(
        "chunks in order",
        "400 or 409, and the upload is dropped; Jupyter's own manager appends any chunk to whatever"
        " file is there.",
        "a chunk whose number does not follow the one before, or is no number",
        "A chunk that was lost or came twice would give a damaged file.",
        lambda found: found.status(OK, REFUSED) and _is_chunk(found),
        levels=True,
    ),
    Difference(
        "copies byte for byte",
        "The copy has the bytes of the source, so what is no notebook can be copied under a"
        " notebook's name too. Jupyter's own manager reads the source and writes it again, in the"
        " current format.",
        "a copy of a notebook that is of an older format, or broken",
        "A copy is made within the store, in one request, and changes nothing.",
        _copied_as_it_is,
        levels=True,
    ),
    Difference(
        "a folder is no file",
        "404, not 403.",
        "a download of a folder",
        "To find out that it is a folder would be a request more.",
        lambda found: found.status(403, 404) and found.operation.is_download,
    ),
    Difference(
        "entity tag",
        "There is an `Etag`, by which a browser asks whether its copy is current.",
        "downloads",
        "Jupyter's own handler has only the date, which is too coarse for a file that changes"
        " twice in a second.",
        lambda found: _of_download(found, "Etag") and found.reference is None,
    ),
    Difference(
        "private caching",
        "`Cache-Control: private, no-cache`, not `no-cache` alone.",
        "downloads",
        "No proxy in between is to keep the file of one user for another.",
        lambda found: _of_download(found, "Cache-Control"),
    ),
    Difference(
        "file name",
        "`Content-Disposition` has the name in the plain form too.",
        "downloads that are to be saved as a file",
        "Some clients know no other form.",
        lambda found: (
            _of_download(found, "Content-Disposition") and bool(found.reference and found.ours)
        ),
    ),
    Difference(
        "text without a type",
        "`Content-Type: text/plain` where the beginning is text; Jupyter's own handler for local"
        " files says `application/octet-stream`.",
        "downloads of files whose name tells no type",
        "A browser shows it then. It is what Jupyter's handler for other managers does.",
        lambda found: _of_download(found, "Content-Type") and "octet" in str(found.reference),
    ),
    Difference(
        "ranges",
        "A range of the whole file is a 206; a range that makes no sense is no range, and the"
        " answer the whole file.",
        "downloads with `Range`: `bytes=0-`, `bytes=2-1`",
        "RFC 9110, sections 14.1.1 and 15.3.7; the stores do the same.",
        lambda found: (
            "Range" in found.operation.headers
            and (found.status(200, 206) or found.status(416, 200))
        ),
    ),
)
