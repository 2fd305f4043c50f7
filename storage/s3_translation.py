"""Errors of the object store become errors of the zoo, here and nowhere else."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from obstore.exceptions import BaseError, PermissionDeniedError, UnauthenticatedError

from registry.errors import BusyError, NotFoundError, StorageError, StorageFullError, ZooError
from registry.names import Digest

STATUS = re.compile(r"status code: (\d{3})")
CODE = re.compile(r"<Code>(\w{1,64})</Code>")
UNHEARD = re.compile(
    r"kind: (Timeout|Connect|Request|Interrupted)\b|error sending request|error decoding response body"
)
NO_ROOM = re.compile(
    r"InsufficientStorage|QuotaExceeded|StorageFull|no space left|no free volumes|no writable volumes", re.I
)
NO_BUCKET = "NoSuchBucket"
BUSY = frozenset({"429", "503"})
FULL = "507"
NOT_IMPLEMENTED = "501"


@contextmanager
def store_translated() -> Iterator[None]:
    """Raises StorageFullError, BusyError or StorageError for what the store says; a missing object passes.

    The sentences may reach anyone who asks, so they name neither host nor bucket.
    """
    try:
        yield
    except BaseError as error:
        raise zoo_error(error) from error
    except FileNotFoundError as error:
        if NO_BUCKET in str(error):
            raise _no_bucket() from error
        raise


@contextmanager
def object_found(digest: Digest) -> Iterator[None]:
    """The same, and raises NotFoundError when there is no object for a digest."""
    try:
        with store_translated():
            yield
    except FileNotFoundError as error:
        raise NotFoundError(f"there are no bytes with {digest}; upload them first") from error


def status_of(error: BaseError) -> str:
    """The HTTP status that the store answered with; empty where it gave no answer."""
    found = STATUS.search(str(error))
    return found[1] if found else ""


def zoo_error(error: BaseError) -> ZooError:
    """The zoo's error for one of the store."""
    text, status = str(error), status_of(error)
    if NO_BUCKET in text:
        return _no_bucket()
    if isinstance(error, PermissionDeniedError | UnauthenticatedError):
        return StorageError(
            f"the object store refuses the service's access keys ({_code(text, status)}); they must allow to list, "
            "read, write and delete in its bucket"
        )
    if status == FULL or NO_ROOM.search(text):
        return StorageFullError("the object store has no room left for these bytes; make some, then try again")
    if status in BUSY:
        return BusyError(f"the object store is busy ({_code(text, status)}); try again in a moment")
    if not status and UNHEARD.search(text):
        return BusyError("the object store does not answer; try again in a moment")
    return StorageError(f"the object store failed ({_code(text, status)}); see its log, and that it has room")


def _no_bucket() -> StorageError:
    return StorageError(f"the object store has no such bucket ({NO_BUCKET}); make it, or name another one")


def _code(text: str, status: str) -> str:
    """The store's own word for what went wrong, else the status, else that there was none."""
    found = CODE.search(text)
    return found[1] if found else status or "no answer"
