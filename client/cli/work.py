"""`zoo work`: a worker for a zoo, here or elsewhere."""

import os
import sys
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, secret, takes
from registry.errors import SettingsError


@dataclass(frozen=True, kw_only=True)
class WorkOptions(ZooOptions):
    """What `zoo work` takes."""

    name: Annotated[str | None, typer.Option(help="What the worker is called; default: host and process.")] = None


@takes(WorkOptions)
def work(options: WorkOptions) -> None:
    """Run a worker that trains, scores and predicts for a zoo, until it is interrupted."""
    token = secret(options)
    with opened(options) as zoo:
        url = zoo.url
    if token is not None:
        os.environ["ZOO_TOKEN"] = token
    require_torch()
    sys.stdout.flush()
    os.execv(sys.executable, worker_command(url, name=options.name))


def worker_command(url: str, *, name: str | None = None) -> list[str]:
    """The command line of a worker; its token travels in the environment, where others cannot read it."""
    named = [] if name is None else ["--name", name]
    return [sys.executable, "-m", "trainer", "work", "--url", url, *named]


def has_torch() -> bool:
    """Whether networks can run here."""
    return find_spec("torch") is not None


def require_torch() -> None:
    """Raises SettingsError when networks cannot run here."""
    if not has_torch():
        raise SettingsError("running networks needs torch; install the extra 'train': pip install '.[train]'")
