"""Whether the service lives, whether it can serve, what it counts, and what its errors mean."""

from collections.abc import Iterator

import structlog
from anyio import to_thread
from fastapi import APIRouter
from starlette.responses import Response

from api.answers import answer
from api.inputs import TheServices
from api.openapi import refusals
from api.problems import FRAMEWORK_CODES, OTHER_CODE, framework_problem
from registry.errors import BusyError, NotFoundError, ZooError
from registry.frozen import Frozen
from registry.observation import Observation
from registry.records import Page
from registry.zoo import Zoo

router = APIRouter(tags=["service"])

log = structlog.get_logger()

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


class Health(Frozen):
    """That the service is there."""

    status: str = "ok"


class ErrorMeaning(Frozen):
    """One kind of problem: its stable code, its status where it has one alone, what it means."""

    code: str
    status: int | None
    title: str
    meaning: str


@router.get("/healthz", response_model=Health, operation_id="show_health")
async def show_health() -> Response:
    """Whether the process answers at all; it needs no thread, so it does while all are busy."""
    return answer(Health(), headers={"Cache-Control": "no-store"})


@router.get("/readyz", response_model=Health, operation_id="show_readiness", responses=refusals(BusyError))
async def show_readiness(services: TheServices) -> Response:
    """Whether the database and the blob store can be used now; what cannot is named in `errors`, within seconds."""
    await to_thread.run_sync(services.zoo.check_ready, limiter=services.watchers)
    return answer(Health(), headers={"Cache-Control": "no-store"})


@router.get(
    "/metrics",
    response_class=Response,
    operation_id="show_metrics",
    responses={200: {"description": "Counters in Prometheus' text format.", "content": {"text/plain": {}}}},
)
async def show_metrics(services: TheServices) -> Response:
    """What the service counts about itself, for Prometheus."""
    services.metrics.observe(await to_thread.run_sync(_observed, services.zoo, limiter=services.watchers))
    return Response(services.metrics.text(), headers={"Content-Type": PROMETHEUS, "Cache-Control": "no-store"})


@router.get("/errors", response_model=Page[ErrorMeaning], operation_id="list_errors")
def list_errors() -> Response:
    """Every kind of problem that this service answers with."""
    return answer(Page[ErrorMeaning](items=tuple(_meanings())))


@router.get("/errors/{code}", response_model=ErrorMeaning, operation_id="show_error", responses=refusals(NotFoundError))
def show_error(code: str) -> Response:
    """What a problem's `type` means."""
    found = next((each for each in _meanings() if each.code == code), None)
    if found is None:
        raise NotFoundError(f"there is no error {code[:200]!r}; GET /errors lists them")
    return answer(found)


def _observed(zoo: Zoo) -> Observation | None:
    """What the database counts; None while it is away, which is no reason to tell nothing."""
    try:
        return zoo.observation.observe()
    except ZooError as error:
        log.warning("not observed", why=error.detail)
        return None


def _meanings() -> Iterator[ErrorMeaning]:
    """Those of the zoo's rules first, then those of HTTP that no rule has."""
    known = set()
    for kind in _tree(ZooError):
        if kind.__module__ == ZooError.__module__:
            known.add(kind.code)
            yield ErrorMeaning(
                code=kind.code, status=kind.status, title=kind.title, meaning=(kind.__doc__ or "").strip()
            )
    for status, code in FRAMEWORK_CODES.items():
        if code not in known:
            title = framework_problem(status, "").title
            yield ErrorMeaning(code=code, status=status, title=title, meaning=f"{title}.")
    yield ErrorMeaning(
        code=OTHER_CODE, status=None, title="Another HTTP error", meaning="A status that has no code of its own."
    )


def _tree(root: type[ZooError]) -> Iterator[type[ZooError]]:
    """A class and everything below it, parents first."""
    yield root
    for below in root.__subclasses__():
        yield from _tree(below)
