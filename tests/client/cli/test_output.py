"""What others have named is shown as they wrote it, and obeyed by nobody."""

import pytest

from client.cli.output import answers, line, note, plain_table
from client.cli.search import _write_table
from tests.builders import published_module, trained_on

NAMES = ["[/b]", "cat [wild]", "[red]a", ":cat:", "a\\", "[link=http://x]a[/link]"]


@pytest.mark.parametrize("name", NAMES)
def test_names_stand_in_tables_and_lines_as_they_are(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    table = plain_table("name", "other")
    table.add_row(name, "end")
    answers().print(table)
    line(name)
    note(name)
    out, err = capsys.readouterr()
    assert [row.rstrip() for row in out.splitlines()[1:]] == [f"{name.ljust(4)}  end", name]
    assert err == f"{name}\n"


def test_a_search_shows_modules_whose_classes_read_as_markup(capsys: pytest.CaptureFixture[str]) -> None:
    module = published_module(task=trained_on("data", "[/b]", "cat [wild]"))
    _write_table((module,))
    assert "[/b], cat [wild]" in capsys.readouterr().out


def test_what_a_terminal_would_obey_is_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    line("a\x1b[2Jb\udce9c")
    assert capsys.readouterr().out == "a\\x1b[2Jb\\udce9c\n"
