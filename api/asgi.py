"""Where the service starts: the one place in `api` that knows how things are stored."""

from fastapi import FastAPI

from api.app import create_app
from api.caretaker import Caretaker
from registry.settings import Settings
from registry.traces import spans_of_process
from storage.wiring import open_zoo


def application(settings: Settings | None = None) -> FastAPI:
    """The app over the zoo of the settings, read from the environment where none are given.

    For servers that take a factory: ``uvicorn --factory api.asgi:application``.

    Raises:
        SettingsError: they are wrong, would let others in while nobody could manage it, or ask for traces that cannot
            be sent.
    """
    settings = settings or Settings.load()
    zoo = open_zoo(settings)
    settings.check_service(has_admin=zoo.tokens.has_admin())
    Caretaker(zoo.collector, zoo.uploads, zoo.queries, settings).start()
    return create_app(zoo, spans=spans_of_process("module-zoo-service"))
