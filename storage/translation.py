"""Errors of the database and the operating system become errors of the zoo, here and nowhere else."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from registry.errors import BusyError, ConflictError, InvalidInputError, StorageError, StorageFullError, ZooError

NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
FULL_CODES = frozenset({"SQLITE_FULL", "53100"})
BUSY_CODES = frozenset(
    {"SQLITE_BUSY", "SQLITE_LOCKED", "40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03", "57P05"}
)
LOST_CLASS = "08"
"""How the codes begin that PostgreSQL has for broken connections; where there is no connection, there is no code."""


@contextmanager
def translated() -> Iterator[None]:
    """Raises a zoo's error for what a database says; bugs pass.

    Raises:
        StorageFullError, BusyError, StorageError: the database has no room, no time, or fails.
        ConflictError: a record contradicts what is stored.
        InvalidInputError: a value is none that the database can hold, such as a text with NUL in PostgreSQL.
    """
    try:
        yield
    except PoolTimeoutError as error:
        raise BusyError("every connection to the database is in use; try again in a moment") from error
    except DBAPIError as error:
        known = _known(error)
        if known is None:
            raise
        raise known from error


@contextmanager
def disk_translated(what: str = "the folder of the blobs") -> Iterator[None]:
    """Raises StorageFullError when the operating system has no room, StorageError when it refuses otherwise.

    Args:
        what: what is read or written. The sentence may reach anyone who asks, so it has no path unless given here.
    """
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        if error.errno in NO_ROOM:
            raise StorageFullError(
                f"there is no room left to store these bytes ({reason}); free some space, then try again"
            ) from error
        raise StorageError(
            f"{what} cannot be used ({reason}); see that it is there and that the service may read and write it"
        ) from error


def _known(error: DBAPIError) -> ZooError | None:
    """The zoo's error for one of the database, if it has one."""
    code = error_code(error)
    if code in FULL_CODES:
        return StorageFullError("the database has no room left; free some space, then try again")
    if isinstance(error, IntegrityError):
        return ConflictError(f"the record contradicts what is stored already ({error.orig}); read it again")
    if isinstance(error, DataError):
        return InvalidInputError(f"a value can neither be stored nor looked for ({error.orig}); send another one")
    if code in BUSY_CODES:
        return BusyError("the database is busy; try again in a moment")
    if (
        error.connection_invalidated
        or code.startswith(LOST_CLASS)
        or (not code and isinstance(error, OperationalError))
    ):
        return BusyError("the database cannot be reached just now; try again in a moment")
    if isinstance(error, OperationalError):
        return StorageError(f"the database failed ({error.orig}); see the service's log")
    return None


def error_code(error: DBAPIError) -> str:
    """The driver's own code: a name with SQLite, five letters and digits with PostgreSQL; empty without one."""
    name = getattr(error.orig, "sqlite_errorname", None) or getattr(error.orig, "sqlstate", None) or ""
    return "SQLITE_BUSY" if name.startswith("SQLITE_BUSY") else str(name)
