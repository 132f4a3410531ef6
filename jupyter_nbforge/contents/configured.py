"""The manager's configuration: its traits, its storage, and typed views of what it inherits."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

from cachetools import LRUCache
from jupyter_server.services.contents.manager import AsyncContentsManager
from traitlets import Bool, Dict, Enum, Float, Instance, Int, List, TraitError, Unicode, default

from ..storage.base import BaseStorageService
from ..storage.errors import (
    ConfigurationError,
    NotSupportedError,
    PermissionDeniedError,
    StorageError,
)
from ..storage.factory import PROVIDER_VARIABLE, create_storage_service
from ..storage.metadata import format_saver
from ..storage.mounts import check_alone, create_mounted_storage
from ..storage.options import check_config_names
from ..storage.placeholders import fill_placeholders
from ..storage.wrappers.prefix import PrefixStorage
from ..storage.wrappers.read_only import ReadOnlyStorage
from .checkpoints import NBForgeCheckpoints
from .files import FilesHandler
from .health import Health, HealthBoard
from .knowledge import Knowledge
from .models import Model, content_type_of, is_reserved
from .outgoing import Memory, Outgoing
from .uploads import Uploads
from .writability import Writability

_REMEMBERED = 4096
_HUB_USER = "JUPYTERHUB_USER"


class ConfiguredContentsManager(AsyncContentsManager):
    """Everything of the contents manager that is not a gesture of a user."""

    storage_url = Unicode(
        "",
        config=True,
        help="""Where the files are: s3://bucket/prefix, gs://bucket/prefix, az://container/prefix,
        file:///directory or memory://.
        Options of the provider are traits of its class, e.g. c.S3Storage.endpoint_url.
        {username} and {NAME} stand for the JupyterHub user and for environment variables.
        Empty: the environment (STORAGE_PROVIDER, S3_BUCKET, ...), else the server's own
        root directory.""",
    )
    mounts = Dict(
        config=True,
        help="""Folders that have a storage of their own, each a URL as storage_url, or a dict with
        the url, read_only and options of the provider:
        {"": "s3://team/{username}", "data": {"url": "az://sets", "read_only": True}}.
        "" is the root; without it there are only these folders. In place of storage_url.""",
    )
    root_dir = Unicode(
        "/",
        config=True,
        help="""A folder of the storage to show as the root; nothing outside it is reachable.
        Placeholders are filled as in storage_url.""",
    )
    read_only = Bool(
        False,
        config=True,
        help="""Nothing is written to the storage, whatever the credentials allow: files open as
        read-only, and every attempt to change one is refused with a sentence that says so.""",
    )
    always_delete_dir = Bool(
        False,
        config=True,
        help="""Delete folders that are not empty. There is no trash: what is deleted is gone,
        unless the store keeps versions.""",
    )
    max_copy_folder_size_mb = Int(
        500, min=0, config=True, help="The largest folder that may be copied, in MiB."
    )
    max_folder_objects = Int(
        100_000,
        min=0,
        config=True,
        help="""The most objects that a folder may have to be renamed, copied or deleted; one
        with more is refused before anything is done. 0: no limit.""",
    )
    max_folder_concurrency = Int(
        32,
        min=1,
        config=True,
        help="""How many objects of a folder are copied at once; within
        LimitStorage.max_concurrency.""",
    )
    record_user = Bool(
        True,
        config=True,
        help="""Keep the name of the JupyterHub user (JUPYTERHUB_USER) with what they save or
        upload, in the object's metadata. Whoever saves over the same file from another server is
        then told who has changed it. Everybody who may read the bucket sees the name. Without
        JupyterHub there is none.""",
    )
    hash_algorithm = Enum(
        ["sha256"], "sha256", help="Of the hashes that a save keeps in the object's metadata."
    )
    upload_idle_seconds = Float(
        600.0,
        min=1.0,
        config=True,
        help="An upload of which no chunk has come for so long is given up.",
    )
    stale_upload_hours = Float(
        24.0,
        min=0.0,
        config=True,
        help="""Uploads that a killed server has left in the store are ended when nobody has gone
        on with them for so many hours; looked for soon after the start and then every six
        hours. 0: never.""",
    )
    upload_part_size_mb = Int(
        16,
        min=1,
        config=True,
        help="""MiB that an upload sends to the store at once. A smaller file is one write, a
        larger one a multipart upload whose parts have this size (in files of thousands of
        parts the later ones are larger). Memory holds two parts of each upload.
        With 16, JupyterLab's looks at the folder included, N MiB cost no more than
        N / 8 + 2 requests.""",
    )
    upload_memory_mb = Int(
        256,
        min=1,
        config=True,
        help="""MiB of memory for the parts of all uploads together. What comes when it is used
        up waits in temporary files.""",
    )
    max_link_lifetime = Float(
        3600.0,
        min=0.0,
        config=True,
        help="""Seconds that a link to a file may live. Whoever has the link can read the file
        without a login until then. Below 1: no links.""",
    )
    upload_links = Bool(
        False,
        config=True,
        help="""Whether links for writing are given too. Whoever has one can replace the file,
        whatever is there, until it expires.""",
    )
    redirect_downloads_above_mb = Int(
        0,
        min=0,
        config=True,
        help="""MiB. A larger file is not downloaded through this server: the browser is sent to
        a link to it, straight to the store, which lives ten minutes, or less where
        max_link_lifetime says so. Files that a browser shows, ranges, and stores without
        links are served from here as ever. 0: never.""",
    )
    kernel_urls = Bool(
        True,
        config=True,
        help="""Tell kernels where their notebook is: NBFORGE_NOTEBOOK_URL and NBFORGE_FOLDER_URL
        (s3://bucket/prefix/folder), and the endpoint, region or account of the store in the
        variables that its tools read. No secret is among them.""",
    )
    kernel_credentials = Bool(
        False,
        config=True,
        help="""Give kernels the credentials that the server itself uses at the time
        (AWS_ACCESS_KEY_ID, AZURE_STORAGE_KEY, GOOGLE_APPLICATION_CREDENTIALS, ...). The code of
        every notebook can then do what the server can, past root_dir and read_only. Temporary
        credentials end in the kernel too; when it is restarted it gets new ones.""",
    )
    kernel_environment_without = List(
        Unicode(),
        config=True,
        help="""Variables of the server's environment that kernels are not to inherit; * stands for
        any characters: ["AWS_*", "AZURE_STORAGE_*"].""",
    )
    check_at_start = Bool(
        True,
        config=True,
        help="""List the storage once when the server starts, and end the server with one
        sentence if the bucket, the credentials or the permissions are wrong.""",
    )
    health_interval = Float(
        30.0,
        min=1.0,
        config=True,
        help="""Seconds for which an answer of the store counts as proof that it is up. The route
        /jupyter_nbforge/health asks the store at most once in so many seconds, whoever
        asks, and not at all while people's own work shows that it answers.""",
    )
    health_timeout = Float(
        5.0,
        min=0.1,
        config=True,
        help="Seconds after which the health route takes a store that is silent for down.",
    )
    health_without_login = Bool(
        False,
        config=True,
        help="""Whether the health route tells everybody who can reach the server if the store is
        up or down, and nothing more, for probes that have no token.""",
    )
    storage = Instance(
        "jupyter_nbforge.storage.base.BaseStorageService",
        help="The storage; made from the configuration.",
    )

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.known = Knowledge()
        self.writability = Writability(lambda: self.storage)
        # Of notebooks that are valid without repair, by the SHA-256 of their bytes: the digest
        # that is signed, where it was computed.
        self.plain_notebooks: LRUCache[str, str | None] = LRUCache(_REMEMBERED)
        user = os.environ.get(_HUB_USER, "") if self.record_user else ""
        self.saver = format_saver(user)
        self._leaving: Counter[str] = Counter()
        part_size = self.upload_part_size_mb * 2**20
        self._health: HealthBoard | None = None
        self._upload_memory = Memory(self.upload_memory_mb * 2**20, part_size)
        self.uploads = Uploads(self.upload_idle_seconds, self._begin_upload)
        try:
            for cls in type(self).__mro__:
                if issubclass(cls, ConfiguredContentsManager):
                    check_config_names(cls, self.config, self.parent)
            self.storage  # noqa: B018 - a wrong configuration is to fail now, not at the first click
        except ConfigurationError as error:
            # TraitError is what makes the server end with the sentence alone.
            raise TraitError(error.message) from None

    @default("storage")
    def _default_storage(self) -> BaseStorageService:
        storage = self._configured_storage()
        root = fill_placeholders(self.root_dir, os.environ).strip("/")
        if is_reserved(root):
            raise ConfigurationError("root_dir is a folder that the manager keeps for itself.")
        if root:
            storage = PrefixStorage(storage, prefix=root, parent=self)
        return ReadOnlyStorage(storage, parent=self) if self.read_only else storage

    def _configured_storage(self) -> BaseStorageService:
        if self.mounts:
            return self._mounted_storage()
        if self.storage_url:
            return create_storage_service(self.storage_url, parent=self)
        if os.environ.get(PROVIDER_VARIABLE):
            return create_storage_service(parent=self)
        directory = getattr(self.parent, "root_dir", None) or "."
        return create_storage_service("file", parent=self, root=directory)

    def _mounted_storage(self) -> BaseStorageService:
        check_alone(self.storage_url, self.root_dir)
        return create_mounted_storage(self.mounts, parent=self)

    @default("checkpoints_class")
    def _default_checkpoints_class(self) -> type[NBForgeCheckpoints]:
        return NBForgeCheckpoints

    @default("files_handler_class")
    def _default_files_handler_class(self) -> type[FilesHandler]:
        return FilesHandler

    def _begin_upload(self, path: str) -> Outgoing:
        return Outgoing(
            self.storage,
            path,
            content_type=content_type_of(path),
            part_size=self.upload_part_size_mb * 2**20,
            memory=self._upload_memory,
            log=self.log,
            saver=self.saver,
        )

    def info_string(self) -> str:
        return f"Serving notebooks from {self.storage.url}"

    async def abort_stale_uploads(self) -> None:
        """End what killed servers have left of uploads in the store; never a reason to fail."""
        if not self.stale_upload_hours:
            return
        try:
            count = await self.storage.abort_stale_uploads("", self.stale_upload_hours * 3600)
        except (PermissionDeniedError, NotSupportedError) as error:
            # Who may only read, or whose store knows no such question, has left none.
            self.log.info("Stale uploads are not looked for: %s", error.message)
        except StorageError as error:
            self.log.warning("Stale uploads could not be looked for: %s", error.message)
        else:
            if count:
                self.log.info("Ended %d uploads that a server had left unfinished", count)

    async def health(self) -> dict[str, Health]:
        """Whether the store answers, by the folder of each mount; ``""`` is the root."""
        return await self._health_board().look()

    async def root_health(self) -> Health:
        """Whether the root's store answers; no mount is asked."""
        return await self._health_board().look_at_root()

    def _health_board(self) -> HealthBoard:
        if self._health is None:
            self._health = HealthBoard(
                self.storage, interval=self.health_interval, timeout=self.health_timeout
            )
        return self._health

    async def aclose(self) -> None:
        """Free all that is open; the server itself never closes a contents manager."""
        if self._health is not None:
            await self._health.aclose()
        await self.uploads.aclose()
        await self.storage.aclose()

    if TYPE_CHECKING:
        # jupyter_server leaves these untyped.
        def emit(self, data: Model) -> None: ...
        def should_list(self, name: str) -> bool: ...
        def run_pre_save_hooks(self, model: Model, path: str, **kwargs: Any) -> None: ...
        def run_post_save_hooks(self, model: Model, os_path: str) -> None: ...
        async def create_checkpoint(self, path: str) -> Model: ...
        def validate_notebook_model(
            self, model: Model, validation_error: dict[str, Any] | None = None
        ) -> Model: ...
