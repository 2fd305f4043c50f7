"""What routes take from a request: the services, the page of a list, names; and what they refuse."""

import re
from dataclasses import dataclass, field, replace
from typing import Annotated, TypeVar

from anyio import CapacityLimiter
from fastapi import Depends, Path, Query
from fastapi.exceptions import RequestValidationError
from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    Field,
    JsonValue,
    ValidationError,
)
from pydantic_core import from_json
from starlette.convertors import StringConvertor
from starlette.exceptions import HTTPException
from starlette.requests import Request

from api.access import check_permission
from api.actions import EVERY
from api.door import IDENTITY
from api.guests import Guests
from api.metrics import Metrics
from api.problems import NO_JSON
from api.threads import in_thread
from api.uploads import Desk, begin_stream, media_type
from api.waiting import Rooms
from registry.access import Identity
from registry.errors import Fault, ForbiddenError, InvalidInputError, InvalidNameError, NotFoundError
from registry.moments import in_utc
from registry.names import (
    DIGEST_PATTERN,
    WORD_PATTERN,
    Digest,
    ModuleName,
    ModuleRef,
    Selector,
    parse_digest,
    parse_word,
)
from registry.records import Job
from registry.zoo import Zoo

Model = TypeVar("Model", bound=BaseModel)

PAGE = 50
LONGEST_PAGE = 200
WATCHERS = 4
JSON = "application/json"
MOST_PLACED = 4 * 1024 * 1024
"""In a longer body, wrong values are told without their places."""


@dataclass(frozen=True, slots=True)
class Services:
    """Everything routes need. `watchers` are threads for health and metrics, since all others may be busy."""

    zoo: Zoo
    desk: Desk
    guests: Guests
    rooms: Rooms
    metrics: Metrics
    watchers: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(WATCHERS))

    def job_ended(self, job: Job) -> None:
        """Tidy up after a job that has just ended, and count it."""
        self.guests.job_ended(job)
        self.metrics.ended(job)


async def _services(request: Request) -> Services:
    """What routes need, with the zoo as whoever asks sees it."""
    services: Services = request.app.state.services
    zoo = services.zoo.seen_by(identity_of(request))
    return services if zoo is services.zoo else replace(services, zoo=zoo)


async def _zoo(request: Request) -> Zoo:
    return (await _services(request)).zoo


def identity_of(request: Request) -> Identity:
    """Who asks, as the door found out."""
    identity: Identity = request.scope[IDENTITY]
    return identity


def owner_of(request: Request) -> str:
    """Under whose name data is kept that this request brings, or asks for."""
    return identity_of(request).owner


TheServices = Annotated[Services, Depends(_services)]
TheZoo = Annotated[Zoo, Depends(_zoo)]
TheIdentity = Annotated[Identity, Depends(identity_of)]
TheOwner = Annotated[str, Depends(owner_of)]


def _as_written(value: object) -> object:
    """A moment as RFC 3339 has it. Raises ValueError for a number, which could be one of several things."""
    if isinstance(value, str) and not re.match(r"\d{4}-\d\d-\d\d[Tt ]", value):
        raise ValueError(f"{value[:50]!r} is no moment; write it as 2026-01-31T12:00:00Z")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(_as_written), AfterValidator(in_utc)]
"""A moment with its time zone."""


def _written(pattern: str) -> dict[str, JsonValue]:
    """What a text looks like, for the description only: the door parses it, and words the refusal."""
    return {"pattern": f"^({pattern})$"}


WORD = _written(WORD_PATTERN)
NAME = _written(f"{WORD_PATTERN}/{WORD_PATTERN}")
ALIAS_PATTERN = rf"(?![0-9]+$)(?!latest$){WORD_PATTERN}"
NUMBER_PATTERN = "[1-9][0-9]{0,17}"
SELECTOR = _written(f"{NUMBER_PATTERN}|{DIGEST_PATTERN}|(?![0-9]+$){WORD_PATTERN}")
REF = _written(f"{WORD_PATTERN}/{WORD_PATTERN}(@({NUMBER_PATTERN}|{DIGEST_PATTERN}|(?![0-9]+$){WORD_PATTERN}))?")
SHAPE = _written(r" *([a-z0-9 ]*\[)?[0-9 ]*[0-9][0-9 ]*(,[0-9 ]*[0-9][0-9 ]*)*\]? *")

Word = Annotated[str, Field(json_schema_extra=WORD)]
PathDigest = Annotated[str, Path(json_schema_extra=_written(DIGEST_PATTERN))]
PathWord = Annotated[str, Path(json_schema_extra=WORD)]
PathAlias = Annotated[str, Path(json_schema_extra=_written(ALIAS_PATTERN))]
PathRef = Annotated[str, Path(json_schema_extra=SELECTOR)]
PathVersion = Annotated[str, Path(json_schema_extra=_written(NUMBER_PATTERN))]

Limit = Annotated[int, Query(ge=1, le=LONGEST_PAGE, description="most items of one page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next_cursor` of the page before")]


async def require_permission(request: Request) -> None:
    """What the door let through is looked at again, by the route it came to: one that no table has is for nobody.

    Raises UnauthenticatedError, ForbiddenError.
    """
    route = f"{request.method} {getattr(request.scope.get('route'), 'path_format', None)}"
    if route not in EVERY:
        raise ForbiddenError(f"{route} is in no table of what may be asked, so it is for nobody")
    check_permission(
        identity_of(request),
        EVERY[route],
        namespace=request.path_params.get("namespace"),
        public_reads=(await _zoo(request)).settings.public_reads,
    )


async def refuse_unknown_parameters(request: Request) -> None:
    """No typo passes in silence. Raises InvalidInputError for a query parameter that the route does not have."""
    if not request.query_params:
        return
    route = getattr(request.scope.get("route"), "path_format", None)
    known = await _known_parameters(request, str(route))
    if known is None:
        return
    faults = [
        Fault(f"/query/{name[:200]}", f"there is no parameter {name[:200]!r} here", "extra_forbidden")
        for name in request.query_params
        if name not in known
    ]
    if faults:
        takes = ", ".join(sorted(known)) or "none"
        raise InvalidInputError(f"{faults[0].detail}; this request takes {takes}", faults=faults)


async def _known_parameters(request: Request, path: str) -> set[str] | None:
    """Names of a route's query parameters; None for what the API's description does not list, such as pages."""
    description = await request.app.state.description.soon()
    operation = description["paths"].get(path, {}).get(request.method.lower())
    if operation is None:
        return None
    return {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}


def any_word_but(word: str) -> StringConvertor:
    """Part of a path; never the one word that another request has in this place, whose methods are its own."""

    class _AnyWordBut(StringConvertor):
        regex = f"(?!{re.escape(word)}$)[^/]+"

    return _AnyWordBut()


def module_name(namespace: PathWord, name: PathWord) -> ModuleName:
    """The module that a path names. Raises InvalidNameError."""
    return ModuleName(parse_word(namespace, what="namespace"), parse_word(name, what="name"))


TheModule = Annotated[ModuleName, Depends(module_name)]


def module_ref(module: TheModule, ref: PathRef) -> ModuleRef:
    """The version that a path names: by number, digest or alias. Raises InvalidNameError, NotFoundError."""
    return ModuleRef(module, _selector(ref))


TheRef = Annotated[ModuleRef, Depends(module_ref)]


def version_number(ref: PathVersion) -> int:
    """The version of a path that must name it by number. Raises InvalidNameError, NotFoundError."""
    version = _selector(ref).version
    if version is None:
        raise InvalidNameError(f"{ref[:200]!r} is not the number of a version; this request needs one")
    return version


TheVersion = Annotated[int, Depends(version_number)]


def digest(digest: PathDigest) -> Digest:
    """The digest that a path names. Raises InvalidNameError."""
    return parse_digest(digest)


TheDigest = Annotated[Digest, Depends(digest)]


def _selector(ref: str) -> Selector:
    """Which version is meant. Raises NotFoundError for a number that no version can have."""
    try:
        return Selector.parse(ref)
    except InvalidNameError as error:
        if ref.isascii() and ref.isdigit():
            raise NotFoundError(error.detail) from error
        raise


async def read_json(request: Request, model: type[Model], *, limit_bytes: int) -> Model:
    """A request's body as a model, read beside all other requests, for bodies that may be large.

    Raises:
        TooLargeError: it is over the limit; where its length is given, before anything is read.
        HTTPException: 415, it is no JSON.
        RequestValidationError: as `parse_json`.
    """
    if media_type(request) != JSON:
        raise HTTPException(415, NO_JSON)
    begin_stream(request, limit_bytes=limit_bytes)
    return await in_thread(parse_json, await request.body(), model)


def parse_json(text: bytes | str, model: type[Model]) -> Model:
    """JSON text as a model. Raises RequestValidationError, as the framework does for bodies that it reads itself."""
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        wrong = error.errors(include_url=False)
        placed = [{**each, "loc": ("body", *each["loc"])} for each in wrong]
        raise RequestValidationError(placed, body=_parsed(text)) from error


def _parsed(text: bytes | str) -> object:
    """What a body says, to find places in; nothing where it is no JSON, or so long that it had better be read once."""
    if len(text) > MOST_PLACED:
        return None
    try:
        parsed: object = from_json(text)
    except ValueError:
        return None
    return parsed
