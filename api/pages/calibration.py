"""How well the scores have predicted what modules reached, as a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.inputs import TheOwner, TheZoo
from api.pages.errors import PageRoute
from api.pages.rendering import page
from api.pages.scatter import Scatter, axis_over, scatter
from registry.calibration import Case, calibrate, cases_of, pairs_of
from registry.outcome_records import (
    LEAST_MODULES,
    LEAST_QUERIES,
    STATIC,
    CalibratedName,
    Calibration,
    CalibrationGroup,
    EstimatorCalibration,
    How,
    Metric,
    Outcome,
)

QUERIES_SHOWN = 20
WAYS: dict[How, str] = {"linear_probe": "by a linear probe", "fine_tuned": "fine-tuned", "other": "used in other ways"}

router = APIRouter(prefix="/rank", route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Figure:
    """The picture of one estimator."""

    judged: EstimatorCalibration
    scatter: Scatter


@dataclass(frozen=True, slots=True)
class GroupView:
    """One metric and way: its table, and the pictures of the chosen estimator and of the static ranker."""

    group: CalibrationGroup
    chosen: CalibratedName
    figures: tuple[Figure, ...]


@dataclass(frozen=True, slots=True)
class CalibrationView:
    """The whole page."""

    found: Calibration
    groups: tuple[GroupView, ...]


@router.get("/calibration")
def show_calibration(
    zoo: TheZoo,
    owner: TheOwner,
    metric: Annotated[Metric | None, Query()] = None,
    how: Annotated[How | None, Query()] = None,
    estimator: Annotated[CalibratedName | None, Query()] = None,
) -> Response:
    """Every estimator against what modules reached, the static ranker beside; one of them as a picture."""
    outcomes = zoo.outcomes.known(owner=owner, metric=metric, how=how)
    return page(
        "calibration.html",
        private=True,
        view=calibration_view(outcomes, metric=metric, how=how, chosen=estimator),
        least_modules=LEAST_MODULES,
        least_queries=LEAST_QUERIES,
        queries_shown=QUERIES_SHOWN,
        static=STATIC,
        ways=WAYS,
    )


def calibration_view(
    outcomes: Sequence[Outcome], *, metric: str | None, how: How | None, chosen: CalibratedName | None
) -> CalibrationView:
    """What the page shows of these outcomes; without a choice, the picture is of the estimator that did best."""
    found, cases = calibrate(outcomes, metric=metric, how=how), cases_of(outcomes)
    groups = (_group_view(group, cases[group.metric, group.how], chosen) for group in found.groups)
    return CalibrationView(found, tuple(groups))


def _group_view(group: CalibrationGroup, cases: Sequence[Case], chosen: CalibratedName | None) -> GroupView:
    names = [judged.estimator for judged in group.estimators]
    best = next((name for name in names if name != STATIC), STATIC)
    shown = chosen if chosen in names and chosen is not None else best
    up = axis_over([one.value for case in cases for one in case])
    figures = tuple(
        Figure(judged, scatter(pairs, judged.reliability, up=up))
        for judged in sorted(group.estimators, key=lambda judged: judged.estimator == STATIC)
        if judged.estimator in (shown, STATIC) and (pairs := pairs_of(cases, judged.estimator))
    )
    return GroupView(group, shown, figures)
