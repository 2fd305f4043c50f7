"""How tables are declared: what names, numbers, times and texts are in them, and what all tables share."""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Double,
    Index,
    Integer,
    MetaData,
    Text,
    event,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BIG = BigInteger().with_variant(Integer(), "sqlite")
"""Eight bytes everywhere; only an INTEGER is a row's own number in SQLite."""


class UtcTime(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite, which knows no time zones, keeps the UTC clock as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database. Raises ValueError for a time without a zone."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; times are aware and in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """What all tables share: how names, numbers and times are kept."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text(), int: BIG, float: Double(), datetime: UtcTime()}  # noqa: RUF012 - declarative


NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that lists are sorted by: by its letters' numbers on every database, whatever its language."""

MAKE_GRAMS = """
    CREATE FUNCTION zoo_grams(whole text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
            SELECT letter || lead(letter, 1) OVER places AS two,
                   letter || lead(letter, 1) OVER places || lead(letter, 2) OVER places AS three
            FROM unnest(string_to_array(whole, NULL)) WITH ORDINALITY AS letters (letter, place)
            WINDOW places AS (ORDER BY place)
        ) AS parts, unnest(ARRAY[two, three]) AS grams (gram) WHERE gram IS NOT NULL
    $$
"""
"""All two and three letters that follow one another in a text, which PostgreSQL can index but has no function for."""


@event.listens_for(Table.metadata, "before_create")
def _make_functions(target: MetaData, connection: Connection, **options: object) -> None:
    """Make what the indexes below are made with."""
    del target, options
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(MAKE_GRAMS)


def shown_index(name: str, *columns: str) -> Index:
    """An index of those versions alone that searches find."""
    return Index(
        f"ix_versions_shown_{name}",
        *columns,
        postgresql_where=text("NOT superseded"),
        sqlite_where=text("superseded = 0"),  # SQLite takes the index only where a query says it in these words
    )
