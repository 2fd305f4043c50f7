"""Settings come from the environment, and what cannot work is refused at the start."""

import pytest

from registry.errors import SettingsError
from registry.settings import Settings


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PORT", "many")
    monkeypatch.setenv("ZOO_LEASE_SECONDS", "-1")
    with pytest.raises(SettingsError, match=r"ZOO_PORT.*ZOO_LEASE_SECONDS"):
        Settings.load()


def test_the_value_of_a_wrong_setting_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_PORT", "70000")
    monkeypatch.setenv("ZOO_HOME", "/a?b")
    with pytest.raises(SettingsError) as caught:
        Settings.load()
    assert "ZOO_PORT must be less than or equal to 65535, got '70000'" in caught.value.detail
    assert "ZOO_HOME: /a?b holds a '?'" in caught.value.detail


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.8.8.8"])
def test_loopback_needs_no_token(host: str) -> None:
    Settings(host=host).check_service()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "example.org"])
def test_beyond_loopback_a_token_is_needed(host: str) -> None:
    with pytest.raises(SettingsError, match="ZOO_TOKEN"):
        Settings(host=host).check_service()
    Settings(host=host, token="secret").check_service()


def test_a_token_is_not_shown() -> None:
    assert "whispered" not in repr(Settings(token="whispered"))


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_addresses_of_postgresql_are_taken_as_people_write_them(scheme: str) -> None:
    settings = Settings(database=f"{scheme}://ada:geheim@host:5432/zoo?sslmode=require")
    assert settings.database_url == "postgresql+psycopg://ada:geheim@host:5432/zoo?sslmode=require"
    assert "geheim" not in repr(settings)


def test_without_an_address_records_are_in_a_file_of_the_home() -> None:
    for none in (None, ""):
        assert Settings(home="/zoo", database=none).database_url == "sqlite:////zoo/zoo.sqlite3"


@pytest.mark.parametrize("scheme", ["mysql", "postgresql+psycopg2"])
def test_a_database_of_another_kind_is_refused_by_its_name_alone(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATABASE", f"{scheme}://ada:geheim@host/zoo")
    with pytest.raises(SettingsError) as refusal:
        Settings.load()
    assert f"ZOO_DATABASE begins with '{scheme}'" in str(refusal.value)
    assert "geheim" not in str(refusal.value)


def test_what_is_no_address_of_a_database_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ZOO_DATABASE", "ada:geheim@host/zoo")
    with pytest.raises(SettingsError, match="ZOO_DATABASE is no address such as") as refusal:
        Settings.load()
    assert "geheim" not in str(refusal.value)
