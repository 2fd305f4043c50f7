"""What all benches share: the one option they take, and the line of JSON they end with."""

import argparse
import json
from collections.abc import Mapping

Figure = float | int | str | bool


def parse_quick(description: str | None = None) -> bool:
    """Read the command line of a bench: true where ``--quick`` asks for the version under a minute on a CPU."""
    parser = argparse.ArgumentParser(description=(description or "").split("\n\n")[0] or None)
    parser.add_argument("--quick", action="store_true", help="a smaller version, under a minute on a CPU")
    return bool(parser.parse_args().quick)


def report(*, bench: str, figures: Mapping[str, Figure], targets: Mapping[str, Figure], holds: bool) -> str:
    """Print, and return, the last line of a bench: one JSON object.

    Args:
        bench: name of the script, without its folder.
        figures: what was measured, with units in the names.
        targets: what was aimed at, under the names of the figures.
        holds: whether every target was met.

    Raises:
        ValueError: a figure is not a finite number, for JSON has no word for it.
    """
    content = {"bench": bench, "figures": dict(figures), "targets": dict(targets), "holds": holds}
    line = json.dumps(content, allow_nan=False)
    print(line)
    return line
