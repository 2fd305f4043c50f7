"""Where the service starts: the one place in `api` that knows how things are stored."""

from fastapi import FastAPI

from api.app import create_app
from registry.settings import Settings
from registry.traces import spans_of_process
from storage.wiring import open_zoo


def application(settings: Settings | None = None) -> FastAPI:
    """The app over the zoo of the settings, read from the environment where none are given.

    For servers that take a factory: ``uvicorn --factory api.asgi:application``.

    Raises:
        SettingsError: they are wrong, would let others in without a token, or ask for traces that cannot be sent.
    """
    settings = settings or Settings.load()
    settings.check_service()
    return create_app(open_zoo(settings), spans=spans_of_process("module-zoo-service"))
