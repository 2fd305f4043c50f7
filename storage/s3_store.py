"""A client of the bucket that the settings name, patient for seconds, never for minutes."""

from datetime import timedelta
from typing import TYPE_CHECKING

from obstore.store import S3Store

from registry.errors import SettingsError
from registry.settings import BUCKET, Settings

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig, S3Config

CONNECT_SECONDS = 5
REQUEST_SECONDS = 20
RETRY_SECONDS = 5
RETRIES = 3
"""A store that stalls is given up after at most 25 seconds, and, where parts must be taken back, twice that."""


def open_bucket(settings: Settings, *, endpoint: str | None) -> S3Store:
    """The bucket at an address; what the settings leave open comes from AWS_* variables.

    Raises:
        SettingsError: the settings name no bucket, or the client refuses them.
    """
    named = BUCKET.fullmatch(settings.blobs or "")
    if named is None:
        raise SettingsError(f"ZOO_BLOBS: {settings.blobs!r} is not s3://BUCKET or s3://BUCKET/PREFIX")
    client: ClientConfig = {
        "connect_timeout": timedelta(seconds=CONNECT_SECONDS),
        "timeout": timedelta(seconds=REQUEST_SECONDS),
    }
    if endpoint is not None and endpoint.startswith("http://"):
        client["allow_http"] = True
    retry: RetryConfig = {"max_retries": RETRIES, "retry_timeout": timedelta(seconds=RETRY_SECONDS)}
    config = _config(settings, endpoint)
    return S3Store(named[1], prefix=named[2], config=config, client_options=client, retry_config=retry)


def _config(settings: Settings, endpoint: str | None) -> "S3Config":
    """What the settings say of the store."""
    config: S3Config = {}
    if settings.s3_region is not None:
        config["region"] = settings.s3_region
    if endpoint is not None:
        config["endpoint"] = endpoint.rstrip("/")
    if settings.s3_access_key_id is not None and settings.s3_secret_access_key is not None:
        config["access_key_id"] = settings.s3_access_key_id
        config["secret_access_key"] = settings.s3_secret_access_key.get_secret_value()
    return config
