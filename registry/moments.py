"""Moments in UTC, in which they are kept and compared."""

from datetime import UTC, datetime


def in_utc(moment: datetime) -> datetime:
    """A moment that has a time zone, in UTC. Raises ValueError at the ends of the calendar, where UTC has no date."""
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{moment} is no moment between the years 1 and 9999 in UTC") from error
