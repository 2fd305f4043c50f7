"""The app: every route over one zoo, behind one door."""

from functools import partial
from importlib.metadata import PackageNotFoundError, version

from fastapi import Depends, FastAPI
from starlette.requests import Request
from starlette.responses import JSONResponse

from api import problems
from api.door import Door
from api.errands import running_errands
from api.guests import Guests
from api.inputs import Services, refuse_unknown_parameters, require_permission
from api.metrics import Metrics
from api.openapi import MadeOnce, describe
from api.pages.routes import router as pages
from api.routes import (
    aliases,
    audit,
    blobs,
    changes,
    datasets,
    health,
    jobs,
    labels,
    modules,
    namespaces,
    outcomes,
    pipelines,
    queries,
    tasks,
    tokens,
    transferability,
    uploads,
    webhooks,
)
from api.uploads import Desk
from api.waiting import Rooms
from registry.traces import NO_SPANS, Spans
from registry.zoo import Zoo

ROUTES = (
    modules,
    aliases,
    blobs,
    uploads,
    pipelines,
    datasets,
    tasks,
    transferability,
    labels,
    queries,
    outcomes,
    jobs,
    tokens,
    namespaces,
    changes,
    webhooks,
    audit,
    health,
)
DESCRIPTION = "Publish network modules, compose them, train them, and ask which of them serves your data."


def create_app(zoo: Zoo, *, spans: Spans = NO_SPANS) -> FastAPI:
    """The whole service over a zoo, as an ASGI app; its requests are traced by `spans`."""
    app = FastAPI(
        title="Module Zoo",
        description=DESCRIPTION,
        version=_version(),
        openapi_url=None,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=running_errands,
        dependencies=[Depends(require_permission), Depends(refuse_unknown_parameters)],
    )
    metrics, guests = Metrics(version=_version()), Guests(zoo)
    app.state.services = Services(zoo, Desk(zoo, guests), guests, Rooms.of(metrics.waiting), metrics)
    for routes in ROUTES:
        app.include_router(routes.router)
    app.include_router(pages)
    problems.install(app)
    app.add_middleware(Door, settings=zoo.settings, tokens=zoo.tokens, metrics=metrics, spans=spans)
    _describe_once(app)
    return app


def _describe_once(app: FastAPI) -> None:
    """Put our description in the place of the framework's."""
    app.state.description = made = MadeOnce(partial(describe, app))

    async def description(request: Request) -> JSONResponse:
        del request
        return JSONResponse(await made.soon())

    app.openapi = made.now  # type: ignore[method-assign]
    app.add_route("/openapi.json", description, include_in_schema=False)


def _version() -> str:
    try:
        return version("module-zoo")
    except PackageNotFoundError:
        return "0"
