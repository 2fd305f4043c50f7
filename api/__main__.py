"""Start the service: ``python -m api``; all settings come from ``ZOO_*`` variables."""

import sys
from pathlib import Path

import uvicorn

from api.asgi import application
from registry.errors import SettingsError, ZooError
from registry.logs import configure_logs
from registry.settings import Settings

SHUTDOWN_SECONDS = 5
KEEP_ALIVE_SECONDS = 75


def main() -> int:
    """Serve until told to stop; 1, with one sentence, when the settings or the storage do not allow a start."""
    configure_logs()
    try:
        settings = Settings.load()
        configure_logs(settings.log_format, settings.log_level)
        check_home(settings.home)
        app = application(settings)
    except (ZooError, OSError) as error:
        sys.stderr.write(f"the service cannot start: {error}\n")
        return 1
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    return 0


def check_home(home: Path) -> None:
    """Make the folder of everything local. Raises SettingsError where that cannot be."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(
            f"ZOO_HOME: the folder {home} cannot be made ({reason}); set ZOO_HOME to a folder that may be written"
        ) from error


if __name__ == "__main__":
    raise SystemExit(main())
