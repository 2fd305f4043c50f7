"""The door for people: every page, and the few files they are made with."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.byte_ranges import FOR_EVER, REVALIDATED
from api.conditions import not_modified
from api.pages import calibration, catalogue, ranking
from api.pages.errors import PageRoute
from api.pages.rendering import ASSETS
from registry.errors import NotFoundError

router = APIRouter(route_class=PageRoute, include_in_schema=False)
router.include_router(catalogue.router)
router.include_router(calibration.router)  # before the rankings, whose addresses begin alike
router.include_router(ranking.router)


@router.get("/static/{name}")
def give_asset(request: Request, name: str, v: str = "") -> Response:
    """A file of the pages; under the address that names its bytes it may be kept for ever."""
    asset = ASSETS.get(name)
    if asset is None:
        raise NotFoundError(f"pages have no file {name[:200]!r}")
    headers = {"ETag": f'"{asset.tag}"', "Cache-Control": FOR_EVER if v == asset.tag else REVALIDATED}
    unchanged = not_modified(request, etag=asset.tag, headers=headers)
    return unchanged or Response(asset.data, media_type=asset.media_type, headers=headers)
