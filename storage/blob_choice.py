"""Which blob store the settings name: a folder, or a bucket where the extra for it is installed."""

import os
from typing import Protocol

from registry.errors import SettingsError, ZooError
from registry.ports import BlobStore
from registry.settings import Settings
from storage.folder_blobs import FolderBlobs

try:
    from storage.s3_blobs import S3Blobs, S3Stores
    from storage.s3_store import open_bucket

    HAS_OBSTORE = True
except ModuleNotFoundError:
    HAS_OBSTORE = False


class KeptBlobs(BlobStore, Protocol):
    """A blob store that can tell whether it can be written to."""

    def check_writable(self) -> None:
        """Raises ZooError unless it can."""


def open_blobs(settings: Settings) -> KeptBlobs:
    """The blob store that the settings name.

    Raises:
        SettingsError: they contradict each other, name a store whose extra is not installed, or a bucket that is not
            there, does not answer or refuses the keys.
        StorageError: the folder cannot be made or used.
    """
    if settings.blobs is None:
        _refuse_leftovers(settings)
        return FolderBlobs(settings.home / "blobs")
    if not HAS_OBSTORE:
        raise SettingsError(
            f"ZOO_BLOBS is {settings.blobs}, but the extra for object stores is not installed; "
            "install module-zoo[s3], or leave ZOO_BLOBS out for a folder in ZOO_HOME"
        )
    if (settings.s3_access_key_id is None) != (settings.s3_secret_access_key is None):
        raise SettingsError("ZOO_S3_ACCESS_KEY_ID and ZOO_S3_SECRET_ACCESS_KEY go together; set both, or neither")
    blobs = S3Blobs(_stores(settings), settings.home / "spool")
    try:
        blobs.check_writable()
    except ZooError as error:
        place = f"{settings.blobs} at {settings.s3_endpoint or os.environ.get('AWS_ENDPOINT_URL', 'AWS')}"
        raise SettingsError(f"ZOO_BLOBS: {place} cannot be used: {error}{_missing_keys(settings)}") from error
    return blobs


def _refuse_leftovers(settings: Settings) -> None:
    """Raises SettingsError when something is said of an object store and none is named."""
    said = sorted(name for name in settings.model_fields_set if name.startswith("s3_") and getattr(settings, name))
    if said:
        raise SettingsError(
            f"ZOO_{said[0].upper()} needs ZOO_BLOBS=s3://BUCKET; set it, or leave both out for a folder"
        )


def _missing_keys(settings: Settings) -> str:
    """What to do where nobody gave any keys, so that the machine's own role was looked for."""
    if settings.s3_access_key_id is not None or "AWS_ACCESS_KEY_ID" in os.environ:
        return ""
    return "; no access key is given, so set ZOO_S3_ACCESS_KEY_ID and ZOO_S3_SECRET_ACCESS_KEY"


def _stores(settings: Settings) -> "S3Stores":
    """The bucket as the service reaches it, and as readers do where they are sent there."""
    own = open_bucket(settings, endpoint=settings.s3_endpoint)
    if not settings.s3_redirect:
        return S3Stores(own)
    return S3Stores(own, readers=open_bucket(settings, endpoint=settings.s3_public_endpoint or settings.s3_endpoint))
