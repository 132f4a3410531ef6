"""Upstream tests that cannot apply to a manager without a local disk, by name, with the reason.

A name stands for the test with all its parameters, or for one parameter set if it carries
the brackets. A name that matches no collected test fails the run: the list cannot go stale.
"""

from __future__ import annotations

_MANAGER = "services/contents/test_manager.py::"
_FILEIO = "services/contents/test_fileio.py::"
_CONFIG = "services/contents/test_config.py::"

_OS_PATH = "asks for the local path of a file; objects have none"
_SYMLINK = "makes symbolic links; an object store has none"
_ROOT_ON_DISK = "demands that the root is a local directory; ours is a prefix"
_MODE_BITS = "sets permission bits of a local file"
_LSTAT = "replaces os.lstat; nothing here is asked of the local disk"
_STAT_HELPER = "tests a private function of FileContentsManager on stat results"
_OTHER_SYSTEM = "runs on macOS or Windows only, on stat results"
_FILE_IO = "tests the mixin that reads and writes local files"

INAPPLICABLE: dict[str, str] = {
    _MANAGER + "test_missing_root_dir": _ROOT_ON_DISK,
    _MANAGER + "test_invalid_root_dir": _ROOT_ON_DISK,
    _MANAGER + "test_root_dir": _ROOT_ON_DISK,
    _MANAGER + "test_get_os_path": _OS_PATH,
    _MANAGER + "test_get_os_path_posix": _OS_PATH,
    _MANAGER + "test_checkpoint_subdir": "asks for the local path of a checkpoint",
    _MANAGER + "test_bad_symlink": _SYMLINK,
    _MANAGER + "test_recursive_symlink": _SYMLINK,
    _MANAGER + "test_good_symlink": _SYMLINK,
    _MANAGER + "test_403": _MODE_BITS,
    _MANAGER + "test_delete_non_empty_folder[True-False-None]": (
        "deletes into the desktop's trash; an object store has none"
    ),
    _MANAGER + "test_save_raises_when_signature_store_unrecoverable": (
        "wants a save to fail when the signature cannot be stored; trust never fails a save of ours"
    ),
    _MANAGER + "test_nb_validation": (
        "counts calls of nbformat.validate, which ours asks only of what is not plainly valid"
    ),
    _MANAGER + "test_created_uses_birthtime_on_macos": _OTHER_SYSTEM,
    _MANAGER + "test_created_uses_ctime_on_windows": _OTHER_SYSTEM,
    _MANAGER + "test_get_created_timestamp_uses_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_no_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_accepts_zero_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_negative_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_infinite_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_nan_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_none_birthtime": _STAT_HELPER,
    _MANAGER + "test_get_created_timestamp_fallback_string_birthtime": _STAT_HELPER,
    _MANAGER + "test_created_timestamp_fallback_to_epoch": _LSTAT,
    _MANAGER + "test_base_model_invalid_timestamp_fallback": _LSTAT,
    _CONFIG + "test_async_contents_manager": "configures jupyter_server's abstract class by name",
    _FILEIO + "test_atomic_writing": _FILE_IO,
    _FILEIO + "test_atomic_writing_umask": _FILE_IO,
    _FILEIO + "test_atomic_writing_newlines": _FILE_IO,
    _FILEIO + "test_path_to_invalid": _FILE_IO,
    _FILEIO + "test_atomic_writing_in_readonly_dir": _FILE_IO,
    _FILEIO + "test_atomic_writing_permission_cache": _FILE_IO,
    _FILEIO + "test_file_manager_mixin": _FILE_IO,
    _FILEIO + "test_async_file_manager_mixin": _FILE_IO,
    _FILEIO + "test_AsyncFileManagerMixin_read_notebook_no_raw": _FILE_IO,
    _FILEIO + "test_AsyncFileManagerMixin_read_file_no_raw": _FILE_IO,
    _FILEIO + "test_path_traversal_when_sibling_dir_starts_with_root_dir": _OS_PATH,
    _FILEIO + "test_get_os_path_with_root_dir_slash": _OS_PATH,
    _FILEIO + "test_get_os_path_with_unc_root": _OS_PATH,
    _FILEIO + "test_get_os_path_with_non_current_drive_root": _OS_PATH,
}

WEAK_SPOTS: dict[str, dict[str, str]] = {
    "seaweedfs": {
        _MANAGER + "test_rename": (
            "a prefix is listed for some 150 s after its last object has gone, so the old folder "
            "seems to be there still (https://github.com/seaweedfs/seaweedfs/issues/9810)"
        ),
    },
    "azure": {
        _MANAGER + "test_created_timestamp": (
            "sets back the time of a file behind the manager's back and saves over it: on Azure "
            "each change of a blob's metadata is a new ETag, and so somebody else's change "
            "(https://learn.microsoft.com/rest/api/storageservices/set-blob-metadata)"
        ),
    },
}
"""Per target: tests that cannot be served there, with the reason; the other targets run them."""

ONLY: dict[str, frozenset[str]] = {"moto": frozenset(WEAK_SPOTS["seaweedfs"])}
"""Targets that stand in for another one's weak spots, and run nothing else."""
