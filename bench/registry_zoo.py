"""A zoo of very many modules and versions, made with a few statements of SQL, for `bench.registry_scale`."""

from datetime import UTC, datetime

from sqlalchemy import Connection, Engine, text

from registry.manifest import ModuleManifest, Role
from registry.names import Digest
from registry.records import PublishedModule, Verification, VerificationState

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)
NAMESPACES = 500
TAGS = 40
CLASSES = 1000
SIDES = (8, 16, 28, 32, 64, 96, 128, 224)
RARE = "zebrafish"
"""A word in the description of one module in a thousand."""

PLACEHOLDER = Digest("sha256:" + "f" * 64)
NUMBERS = """
    WITH RECURSIVE numbers (n) AS (SELECT {first} UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})
"""
MODULES = """
    INSERT INTO modules (id, namespace, name, last_version, newest)
    {numbers} SELECT n, 'team-' || (n % {namespaces}), 'module-' || n, {each}, {each} FROM numbers
"""
VERSIONS = """
    INSERT INTO versions (id, module_id, version, digest, below, role, takes, gives, data, search_text, published_at,
                          yanked, record, superseded, verified)
    {numbers}, parts AS (
        SELECT n, 1 + (n - 1) / {each} AS module, 1 + (n - 1) % {each} AS version, {digest} AS digest,
               n % {sides} AS side,
               CASE WHEN (1 + (n - 1) / {each}) % 1000 = 0 THEN '{rare}' ELSE 'digits' END AS word FROM numbers
    )
    SELECT n, module, version, digest, NULL, 'input',
           'float32[3,' || {side} || ',' || {side} || ']', 'float32[64]', NULL,
           'team-' || (module % {namespaces}) || '/module-' || module || '{newline}features of ' || word || ' number '
               || n || ' learned from pairs{newline}tag-' || (module % {tags}),
           {at}, NULL, {record}, version < {each}, true
    FROM parts
"""
WORDS = """
    INSERT INTO version_words (version_id, kind, word, superseded)
    {numbers}, parts AS (SELECT n, 1 + (n - 1) / {each} AS module, n % {each} <> 0 AS superseded FROM numbers)
    SELECT n, 'tag', 'tag-' || (module % {tags}), superseded FROM parts
    UNION ALL SELECT n, 'class', 'class-' || (module % {classes}), superseded FROM parts
    UNION ALL SELECT n, 'class', 'class-' || ((module + 7) % {classes}), superseded FROM parts
"""
VERIFICATIONS = """
    INSERT INTO verifications (digest, state, record)
    SELECT digest, 'verified', :record FROM versions WHERE id BETWEEN {first} AND {last}
"""
BATCH = 50_000


def fill(engine: Engine, *, modules: int, each: int) -> None:
    """Write so many modules with so many versions each, every one with a record that reads as a published module."""
    for first in range(1, modules * each + 1, BATCH):
        last = min(first + BATCH - 1, modules * each)
        with engine.begin() as connection:
            _fill(connection, first=first, last=last, each=each)
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            for table in ("modules", "versions"):
                connection.execute(
                    text(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
                )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM ANALYZE" if engine.dialect.name == "postgresql" else "ANALYZE")


def _fill(connection: Connection, *, first: int, last: int, each: int) -> None:
    """One batch of versions, and the modules that begin in it."""
    postgres = connection.dialect.name == "postgresql"
    of_modules = {"first": 1 + (first - 1) // each, "last": 1 + (last - 1) // each}
    of_versions = {"first": first, "last": last}
    words = {
        "each": each,
        "namespaces": NAMESPACES,
        "tags": TAGS,
        "classes": CLASSES,
        "rare": RARE,
        "sides": len(SIDES),
        "newline": "\n",
        "side": "CASE side " + " ".join(f"WHEN {i} THEN {side}" for i, side in enumerate(SIDES)) + " END",
        "digest": "'sha256:' || " + ("encode(sha256(('v' || n)::bytea), 'hex')" if postgres else "printf('%064x', n)"),
        "at": f"timestamptz '{BEGAN.isoformat()}' + n * interval '1 second'"
        if postgres
        else f"strftime('%Y-%m-%d %H:%M:%S', '{BEGAN:%Y-%m-%d}', '+' || n || ' seconds') || '.000000'",
        "record": _record_expression(),
    }
    for statement, which in ((MODULES, of_modules), (VERSIONS, of_versions), (WORDS, of_versions)):
        made = statement.format(numbers=NUMBERS.format(**which), **words)
        connection.exec_driver_sql(made.replace("%", "%%") if postgres else made)
    verified = Verification(state=VerificationState.VERIFIED, at=BEGAN).model_dump_json()
    connection.execute(text(VERIFICATIONS.format(**of_versions)), {"record": verified})


def _record_expression() -> str:
    """SQL that makes the record of a version out of one that was checked, by putting its own names in."""
    names = {"placeholder-namespace": "'team-' || (module % 500)", "placeholder-name": "'module-' || module"}
    expression = "'" + _record().replace("'", "''") + "'"
    for word, own in (*names.items(), (PLACEHOLDER, "digest"), ("987654321", "version")):
        expression = f"replace({expression}, '{word}', CAST({own} AS text))"
    return expression


def _record() -> str:
    """The record of a linear module."""
    published = PublishedModule(
        **dict(manifest()),
        namespace="placeholder-namespace",
        name="placeholder-name",
        version=987654321,
        digest=PLACEHOLDER,
        size_bytes=786_688,
        published_at=BEGAN,
    )
    return published.model_dump_json(exclude={"yanked", "verification"})


def manifest(*, side: int = 32) -> ModuleManifest:
    """A linear module for small pictures."""
    channels = (0.5, 0.5, 0.5)
    linear = {"block": "linear", "in_features": 3 * side * side, "out_features": 64}
    return ModuleManifest.model_validate(
        {
            "role": Role.INPUT,
            "architecture": {"blocks": [{"block": "flatten"}, linear]},
            "takes": {"shape": (3, side, side)},
            "gives": {"shape": (64,)},
            "preprocessing": {"colour": "rgb", "height": side, "width": side, "mean": channels, "std": channels},
            "feature_map": {"activation": "relu", "k_min": 0.0},
            "description": "features of digits learned from pairs",
            "tags": ("tag-1",),
        }
    )
