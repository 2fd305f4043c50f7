"""The catalogue: what is in the zoo, and one module with everything around it."""

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from api.inputs import TheZoo, module_name
from api.pages.errors import PageRoute
from api.pages.rendering import page
from api.pages.views import ModuleView, catalogue_view, module_card
from registry.errors import InvalidInputError, NotFoundError
from registry.manifest import Role
from registry.modules import ModuleService
from registry.names import LATEST, ModuleRef, Selector
from registry.records import ModuleOverview, ModuleSearch, PublishedModule

MODULES_A_PAGE = 24
LONGEST_FIELD = 200

router = APIRouter(route_class=PageRoute, include_in_schema=False)
Text = Annotated[str, Field(max_length=LONGEST_FIELD)]


class CatalogueFields(BaseModel):
    """What the search form sends; an empty field asks for nothing."""

    q: Text = ""
    role: Text = ""
    namespace: Text = ""
    tag: Text = ""
    cursor: Annotated[str, Field(max_length=1000)] = ""

    @property
    def search(self) -> ModuleSearch:
        """What is searched for. Raises InvalidInputError for a role there is not."""
        return ModuleSearch(
            q=self.q.strip() or None, role=_role(self.role), namespace=self.namespace or None, tag=self.tag or None
        )


@router.get("/")
def show_catalogue(zoo: TheZoo, fields: Annotated[CatalogueFields, Query()]) -> Response:
    """The modules that fit, newest first, a page at a time."""
    search = fields.search
    found = zoo.modules.search(search, limit=MODULES_A_PAGE, cursor=fields.cursor or None, facets=True)
    return page("catalogue.html", view=catalogue_view(search, found, first_page=not fields.cursor))


@router.get("/ui/modules/{namespace}/{name}")
def show_module(request: Request, zoo: TheZoo, namespace: str, name: str, version: str = LATEST) -> Response:
    """One version of a module; without one, the newest."""
    parsed = module_name(namespace, name)
    ref = ModuleRef(parsed, Selector.parse(version))
    overview = zoo.modules.overview(parsed)
    module = _version(zoo.modules, overview, ref)
    path = f"modules/{parsed}/versions/{module.version}/file"
    view = ModuleView(
        card=module_card(module),
        overview=overview,
        lineage=zoo.modules.lineage(ModuleRef.parse(module.ref)),
        file_url=f"{request.base_url}{path}",
        file_name=f"{module.name}-{module.version}.safetensors",
    )
    return page("module.html", view=view)


def _version(modules: ModuleService, overview: ModuleOverview, ref: ModuleRef) -> PublishedModule:
    """The version that is asked for; where all are hidden from searches, the latest is the newest of them."""
    try:
        return modules.get(ref)
    except NotFoundError:
        if ref.selector.alias != LATEST:
            raise
        return modules.get(ModuleRef(ref.name, Selector(version=overview.versions[0].version)))


def _role(text: str) -> Role | None:
    """Raises InvalidInputError unless it is a role, or empty."""
    if text and text not in set(Role):
        raise InvalidInputError(f"there is no role {text!r}; choose one of {', '.join(Role)}")
    return Role(text) if text else None
