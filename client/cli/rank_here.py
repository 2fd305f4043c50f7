"""`zoo rank --here`: the modules come to the images, in a process of its own; only statistics leave."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from client.cli.programs import FEWER, check_ended, run
from client.cli.work import require_torch
from client.folders import as_file
from client.home_rankings import HomeRanking
from registry.rankings import Ranking


def ranked_here(request: HomeRanking, *, token: str | None, as_json: bool = False) -> Ranking:
    """Let the trainer rank beside the images, a file or a folder; it tells failures, as JSON where that is asked for.

    Raises:
        SettingsError: networks cannot run here.
        JobFailedError: it was killed.
    """
    require_torch()
    with as_file(Path(request.data)) as data, tempfile.TemporaryDirectory(prefix="module-zoo-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(request.model_copy(update={"data": str(data)}).model_dump_json())
        environment = os.environ if token is None else {**os.environ, "ZOO_TOKEN": token}
        done = run(ranker_command(path, as_json=as_json), stdout=subprocess.PIPE, env=environment)
    check_ended(done.returncode, what="ranking here", remedy=FEWER)
    return Ranking.model_validate_json(done.stdout)


def ranker_command(request: Path, *, as_json: bool = False) -> Sequence[str]:
    """The command line that ranks here; the token travels in the environment, where others cannot read it."""
    return [sys.executable, "-m", "trainer", "rank", "--request", str(request), *(["--json"] if as_json else [])]
