"""Where histories of a registry happen: a folder and a real database, empty for each."""

import shutil

from sqlalchemy import event

from storage.engine import open_engine
from storage.migrations import upgrade
from tests.postgres import emptied


class Place:
    """A folder and a database that histories have one after the other; each finds them empty.

    The engine is the same for all of them, and has no connection when a history begins or its process starts again:
    what it keeps is how statements are written, which takes a quarter of the time where it is found out anew.
    """

    def __init__(self, folder, database):
        self.home, self.template, self.database = folder / "home", folder / "empty.sqlite3", database
        if database is None:
            self._upgrade(open_engine(f"sqlite:///{self.template}"))
        self.engine = open_engine(database or f"sqlite:///{self.home / 'zoo.sqlite3'}")
        if database is not None:
            self._upgrade(self.engine)
        for what in ("before_cursor_execute", "commit"):
            event.listen(self.engine, what, lambda *_: self.on_statement())
        self.on_statement = lambda: None

    def _upgrade(self, engine):
        upgrade(engine)
        engine.dispose()

    def empty(self):
        """Take away what the last history left."""
        self.engine.dispose()
        shutil.rmtree(self.home, ignore_errors=True)
        self.home.mkdir()
        if self.database is None:
            shutil.copy(self.template, self.home / "zoo.sqlite3")
        else:
            assert emptied(self.database)
