"""`python -m storage`: the tables by one command, with ZOO_* variables alone."""

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from storage.__main__ import main
from storage.migrations import newest_revision

NEWEST = newest_revision()


@pytest.fixture(autouse=True)
def _settings(database, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ZOO_DATABASE", database)


def test_the_tables_go_up_and_down_and_each_step_is_told(capsys):
    steps = [
        (["revision"], 1, f"the database is at revision base, this program needs {NEWEST}\n"),
        (["upgrade"], 0, f"the database was at revision base and is now at {NEWEST}\n"),
        (["upgrade"], 0, f"the database is at revision {NEWEST} already\n"),
        (["revision"], 0, f"the database is at revision {NEWEST}, this program needs {NEWEST}\n"),
        (["downgrade", "0003"], 0, f"the database was at revision {NEWEST} and is now at 0003\n"),
        (["downgrade", "base"], 0, "the database was at revision 0003 and is now at base\n"),
    ]
    for arguments, status, said in steps:
        assert main(arguments) == status
        assert capsys.readouterr().out == said


def test_a_revision_that_is_not_there_is_wrong_use(capsys):
    assert main(["downgrade", "first"]) == 2
    assert "there is no revision 'first'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [[], ["sidegrade"], ["downgrade"]])
def test_anything_else_is_wrong_use(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m storage" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("address", "status"), [("mysql://ada:geheim@host/zoo", 2), ("postgresql://ada:geheim@127.0.0.1:1/zoo", 1)]
)
def test_a_database_that_cannot_be_had_is_told_in_one_line(address, status, monkeypatch, capsys):
    monkeypatch.setenv("ZOO_DATABASE", address)
    assert main(["upgrade"]) == status
    said = capsys.readouterr().err
    assert "ZOO_DATABASE" in said
    assert "geheim" not in said
    assert said.count("\n") == 1


def test_replicas_that_call_it_at_once_upgrade_once_and_none_loads_torch(database):
    code = "import sys; from storage.__main__ import main; sys.exit(main(['upgrade']) or 3 * ('torch' in sys.modules))"

    def call(_):
        return subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
            capture_output=True,
            text=True,
            check=False,
        )

    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(call, range(3)))
    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 3
    told = sorted(each.stdout for each in done)
    assert len(told) == 3
    assert sum(f"is now at {NEWEST}" in line for line in told) >= 1
