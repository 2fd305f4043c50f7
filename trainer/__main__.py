"""`python -m trainer`: work for a zoo, or train here without one."""

import logging
import os
import platform
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console

from client.cli.failures import report
from client.cli.options import takes
from client.cli.programs import PASSED_ON, heard
from client.home_rankings import HomeRanking
from client.inspections import InspectionRequest
from client.zoo import Zoo
from registry.errors import InvalidInputError, ZooError
from registry.logs import configure_logs
from registry.settings import Settings
from registry.traces import spans_of_process
from trainer.at_home import rank_at_home
from trainer.display import Bar
from trainer.here import HereOptions, train_here
from trainer.inspected import inspect
from trainer.worker import Worker
from trainer.wrapping import wrap

FAILED = 1
DEFAULT_URL = "http://127.0.0.1:8000"

AsJson = Annotated[bool, typer.Option("--json", help="Tell a failure as JSON too.")]

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
log = structlog.get_logger()


@app.callback()
def set_up_logs() -> None:
    """Do the work of a zoo, or train modules here without one."""
    configure_logs("console")


@app.command()
def work(
    url: Annotated[str | None, typer.Option(help="Address of the zoo; default: ZOO_URL.")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token; default: ZOO_TOKEN.")] = None,
    name: Annotated[str | None, typer.Option(help="What the zoo calls this worker.")] = None,
) -> None:
    """Claim jobs and do them, until told to end."""
    settings = Settings.load()
    configure_logs(settings.log_format, settings.log_level)
    spans = spans_of_process("module-zoo-worker")
    secret = settings.token.get_secret_value() if settings.token else None
    with Zoo(url or settings.url or DEFAULT_URL, token or secret) as zoo:
        worker = Worker(zoo, name=name or f"{platform.node() or 'worker'}-{os.getpid()}", spans=spans)
        for number in (signal.SIGINT, *heard(PASSED_ON)):
            signal.signal(number, lambda *_: worker.stop.set())
        log.info("worker started", zoo=zoo.url)
        worker.run()


@app.command("inspect")
def inspect_here(
    request: Annotated[Path, typer.Option(help="What to inspect, a JSON file.", exists=True, dir_okay=False)],
    json: AsJson = False,
) -> None:
    """Score every block boundary of a pipeline on labelled images, and print JSON."""
    del json  # `main` looks for it
    try:
        asked = InspectionRequest.model_validate_json(request.read_bytes())
    except ValidationError as error:
        raise InvalidInputError(f"{request.name} is not an inspection request: {error}") from error
    with Bar(Console(stderr=True), what="inspecting") as bar:
        inspection = inspect(asked, report=bar.tell)
    sys.stdout.write(inspection.model_dump_json() + "\n")


@app.command("rank")
def rank_here(
    request: Annotated[Path, typer.Option(help="What to rank, a JSON file.", exists=True, dir_okay=False)],
    json: AsJson = False,
) -> None:
    """Rank a zoo's modules on images that stay here, and print JSON."""
    del json  # `main` looks for it
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    asked = HomeRanking.model_validate_json(request.read_bytes())
    secret = Settings.load().token
    for number in heard(PASSED_ON):
        signal.signal(number, _leave)
    token = secret.get_secret_value() if secret else None
    with Zoo(asked.url, token) as zoo, Bar(Console(stderr=True), what="ranking here") as bar:
        ranking = rank_at_home(zoo, asked, report=bar.tell)
    sys.stdout.write(ranking.model_dump_json() + "\n")


def _leave(number: int, frame: FrameType | None) -> None:
    """Leave, as after an interrupt; once, for a second signal must not end what is put in order now."""
    del frame
    for told in heard(PASSED_ON):
        signal.signal(told, signal.SIG_IGN)
    sys.exit(128 + number)


app.command("train")(takes(HereOptions)(train_here))
app.command("wrap")(wrap)


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use; a failure is told as `zoo` tells it."""
    try:
        app()
    except (ZooError, OSError) as error:
        report(error, as_json="--json" in sys.argv[1:])
        sys.exit(FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
