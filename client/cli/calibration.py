"""`zoo calibration`: how well the scores have predicted what modules reached."""

from dataclasses import dataclass
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, takes, word
from client.cli.output import answers, line, plain_table, write_json
from registry.outcome_records import (
    LEAST_MODULES,
    LEAST_QUERIES,
    Calibration,
    CalibrationGroup,
    Difference,
    EstimatorCalibration,
    How,
)

HEADERS = ("estimator", "weighted tau", "less static (95 %)", "tau", "Pearson", "regret", "queries", "left out")


@dataclass(frozen=True, kw_only=True)
class CalibrationOptions(ZooOptions):
    """What `zoo calibration` takes."""

    how: Annotated[How | None, typer.Option(help="Only outcomes reached in this way.")] = None
    metric: Annotated[str | None, typer.Option(help="Only outcomes by this metric.")] = None


@takes(CalibrationOptions)
def calibration(options: CalibrationOptions) -> None:
    """Show how well the scores have predicted what modules reached.

    Every estimator, and the static ranker, which never saw the task, over all queries with outcomes of three modules
    or more: `zoo outcome` tells them.
    """
    metric = None if options.metric is None else word(options.metric, what="metric")
    with opened(options) as zoo:
        found = zoo.outcomes.calibration(metric=metric, how=options.how)
    if options.json:
        write_json(found)
    else:
        _write(found)


def _write(found: Calibration) -> None:
    """A table for each metric and way, and what is missing."""
    for group in found.groups:
        _write_group(group)
    if found.waiting:
        told = "1 outcome waits" if found.waiting == 1 else f"{found.waiting} outcomes wait"
        line(f"{told}: a query counts from {LEAST_MODULES} modules of one metric and way on.")
    if not found.outcomes:
        line("No outcomes yet: tell what a ranked module reached with `zoo outcome QUERY MODULE ACCURACY`.")


def _write_group(group: CalibrationGroup) -> None:
    line(
        f"{group.metric}, {group.how.replace('_', ' ')}: queries {group.queries}, on datasets {group.datasets}, "
        f"modules {group.modules}"
    )
    table = plain_table(*HEADERS)
    for estimator in group.estimators:
        table.add_row(*_cells(estimator))
    answers().print(table)
    if group.too_few:
        line(f"Too few queries to tell the estimators apart: {group.queries} of at least {LEAST_QUERIES}.")


def _cells(estimator: EstimatorCalibration) -> tuple[str, ...]:
    """One line of the table."""
    mean = estimator.mean
    measures = (None,) * 3 if mean is None else (mean.kendall_tau, mean.pearson, mean.regret)
    return (
        estimator.estimator,
        _number(None if mean is None else mean.weighted_tau),
        _difference(estimator.against_static),
        *(_number(value) for value in measures),
        str(estimator.queries),
        str(estimator.left_out) if estimator.left_out else "",
    )


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _difference(found: Difference | None) -> str:
    """A difference with its interval, where there is one."""
    if found is None:
        return "-"
    if found.interval is None:
        return f"{found.mean:+.3f}"
    low, high = found.interval
    return f"{found.mean:+.3f} ({low:+.3f} to {high:+.3f})"
