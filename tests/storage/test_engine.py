"""Connections: what is said where none can be had, and that nothing said holds the password."""

import sys

import pytest
from sqlalchemy import event, make_url, text

from registry.errors import BusyError, SettingsError
from storage.engine import check_reachable, open_engine
from storage.unit_of_work import units_of_work
from tests.builders import published_module
from tests.postgres import own_postgres
from tests.storage.kinds import ONLY_POSTGRES

PASSWORD = "geheim"


@pytest.fixture(scope="module")
def guarded():
    """A server that lets one user in with a password, and nobody else but its owner."""
    with own_postgres() as server:
        engine = open_engine(server.url.render_as_string(hide_password=False))
        with engine.begin() as connection:
            connection.execute(text(f"CREATE ROLE ada LOGIN PASSWORD '{PASSWORD}'"))
        engine.dispose()
        server.allow_only("local all ada scram-sha-256\n")
        yield server.url.set(username="ada", password=PASSWORD)


@pytest.mark.postgres
def test_the_right_password_lets_in(guarded):
    reach(guarded)


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"password": PASSWORD + "!"}, "does not let 'ada' into 'postgres' .*password authentication failed"),
        ({"password": None}, "does not let 'ada' .*no password supplied"),
        ({"username": "eve"}, "does not let 'eve' .*does not exist"),
        ({"database": "nowhere"}, "into 'nowhere' .*does not exist"),
    ],
)
def test_who_is_not_let_in_is_told_why(guarded, wrong, said):
    with pytest.raises(SettingsError, match=said) as refusal:
        reach(guarded._replace(**wrong))
    assert "correct the user, the password or the name" in refusal.value.detail
    assert PASSWORD not in refusal.value.detail


@pytest.mark.parametrize("host", ["127.0.0.1:1", "nowhere.invalid", "/nowhere"])
def test_a_server_that_does_not_answer_is_told(host):
    where = f"@/zoo?host={host}" if host.startswith("/") else f"@{host}/zoo"
    with pytest.raises(BusyError, match=r"'zoo' cannot be reached .*see that it runs there") as refusal:
        reach(make_url(f"postgresql+psycopg://ada:{PASSWORD}{where}"))
    assert PASSWORD not in refusal.value.detail


def test_an_address_that_is_not_well_formed_is_not_repeated():
    for address in ("postgresql+psycopg://ada:geheim@host:port/zoo", "postgresql+psycopg:/ada:geheim@host"):
        with pytest.raises(SettingsError, match="not well-formed") as refusal:
            open_engine(address)
        assert PASSWORD not in refusal.value.detail


def test_a_driver_that_is_not_installed_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(SettingsError, match=r"driver psycopg is not installed; .*extra `postgres`"):
        open_engine("postgresql+psycopg://ada@host/zoo")


@ONLY_POSTGRES
def test_connections_bound_how_long_they_wait_and_what_the_address_says_comes_first(database):
    for query, seconds in (({}, "10"), ({"connect_timeout": "3"}, "3")):
        engine = open_engine(make_url(database).update_query_dict(query).render_as_string(hide_password=False))
        with engine.connect() as connection:
            assert connection.execute(text("SHOW lock_timeout")).scalar_one() == "30s"
            driver = connection.connection.dbapi_connection
            assert driver.info.get_parameters()["connect_timeout"] == seconds
        engine.dispose()


@ONLY_POSTGRES
def test_who_waits_too_long_for_a_lock_is_refused_for_now(database, begin):
    impatient = open_engine(database)
    event.listen(impatient, "connect", lambda connection, _: connection.execute("SET lock_timeout = 50") and None)
    event.listen(impatient, "connect", lambda connection, _: connection.commit())
    with begin() as holder:
        holder.modules.add(published_module())
        with pytest.raises(BusyError, match="try again"), units_of_work(impatient)() as work:
            work.modules.add(published_module())
    impatient.dispose()


def reach(url):
    """Open a connection."""
    engine = open_engine(url.render_as_string(hide_password=False))
    try:
        check_reachable(engine)
    finally:
        engine.dispose()
