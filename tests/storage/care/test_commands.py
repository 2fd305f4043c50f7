"""`python -m storage`, as a process of its own and from inside."""

import json
import subprocess
import sys

import pytest

from registry.settings import Settings
from storage.__main__ import main
from storage.wiring import open_zoo


@pytest.fixture
def home(tmp_path, monkeypatch):
    """The folder of a zoo whose settings are in the environment; unreferred bytes go at once."""
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setenv("ZOO_GC_GRACE_SECONDS", "0.001")
    return tmp_path


def answered(capsys, *arguments):
    """Exit code and JSON answer of a command."""
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_gc_deletes_what_nothing_refers_to(home, capsys):
    zoo = open_zoo(Settings.load())
    zoo.blobs.put(b"orphan")
    assert answered(capsys, "gc", "--dry-run")[1]["unreferred"] == 1
    code, first = answered(capsys, "gc")
    assert (code, first["newly_marked"]) == (0, 1)
    second = answered(capsys, "gc")[1]
    assert first["deleted"] + second["deleted"] == 1
    assert list(zoo.blobs.listing()) == []
    zoo.close()


def test_a_wrong_setting_is_wrong_use(home, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_GC_GRACE_SECONDS", "-1")
    assert main(["gc"]) == 2
    assert "ZOO_GC_GRACE_SECONDS" in capsys.readouterr().err


def test_zoo_gc_runs_where_the_zoo_is_stored(home):
    command = [sys.executable, "-m", "client.cli.app", "gc", "--dry-run", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["rehearsal"] is True
    assert done.stderr == ""
