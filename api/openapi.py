"""The API's own description: what each request can be refused with, and which need a token."""

import asyncio
import threading
from collections.abc import Callable, Iterator, Mapping

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.actions import ACTIONS
from api.inputs import JSON
from api.problems import MEDIA_TYPE, Problem
from api.threads import in_thread
from registry.access import Action
from registry.errors import UnauthenticatedError, ZooError

Responses = dict[int | str, dict[str, object]]
Description = dict[str, object]

Parameters = list[Description]

HEADERS = {
    "Range": "one range of bytes, as `bytes=0-99`; several are answered with the whole",
    "If-Range": "the entity tag that the range belongs to; with another one, the whole is answered",
    "If-None-Match": "entity tags that the caller has; 304 where one is right",
    "If-Match": "the entity tag it must still have",
    "Upload-Checksum": "of this request's body: `sha1` or `sha256`, and Base64",
    "Prefer": "`wait=SECONDS` or `respond-async`: how long the caller is ready to wait",
}
"""What requests may say in headers beside the usual."""

REQUEST_ID: Description = {
    "description": "The request's id, its own where it brought one; logs and jobs have it too.",
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9._-]{1,128}$"},
}
TEXT: Description = {"schema": {"type": "string", "minLength": 1}}
ALWAYS_SAID: dict[str, tuple[str, ...]] = {
    "206": ("Content-Range",),
    "304": ("ETag",),
    "401": ("WWW-Authenticate",),
    "416": ("Content-Range",),
    "429": ("Retry-After",),
    "503": ("Retry-After",),
}
"""The headers that every answer with a status has."""

BINARY: Description = {"schema": {"type": "string", "format": "binary"}}


def refusals(*errors: type[ZooError]) -> Responses:
    """The `responses` of a route that raises these errors, beside what every route may answer."""
    said: dict[int | str, list[str]] = {}
    for error in errors:
        said.setdefault(error.status, []).append(f"{error.title} (`{error.code}`)")
    return {status: {"model": Problem, "description": "; ".join(titles)} for status, titles in sorted(said.items())}


def takes_headers(*names: str) -> Description:
    """The `openapi_extra` of a route that looks at these headers."""
    named: Parameters = [
        {"name": name, "in": "header", "required": False, "description": HEADERS[name], "schema": {"type": "string"}}
        for name in names
    ]
    return {"parameters": named}


def says(*headers: str) -> Description:
    """The `headers` of a response that always has these."""
    return dict.fromkeys(headers, TEXT)


def raw_body(description: str, *, also: tuple[str, type[BaseModel]] | None = None) -> Description:
    """The `openapi_extra` of a route that takes bytes as they are, and perhaps a model as another media type."""
    content = {"application/octet-stream": BINARY}
    if also is not None:
        content[also[0]] = {"schema": body_schema(also[1])}
    return {"requestBody": {"required": True, "description": description, "content": content}}


def json_body(model: type[BaseModel]) -> Description:
    """The `openapi_extra` of a route that reads its JSON itself, as a model whose parts are in answers too."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
    schema.pop("$defs", None)
    return {"requestBody": {"required": True, "content": {JSON: {"schema": schema}}}}


UNCHANGED: Responses = {304: {"description": "The caller has it already."}}
"""The `responses` of a route whose answer has an entity tag."""


def body_schema(model: type[BaseModel]) -> Description:
    """A model's schema with the models inside it written out in their places, for a description of its own."""
    schema = model.model_json_schema()
    parts = schema.pop("$defs", {})
    whole = _written_out(schema, parts)
    return whole if isinstance(whole, dict) else {}


def _written_out(schema: object, parts: Mapping[str, object]) -> object:
    """A schema without references."""
    if isinstance(schema, list):
        return [_written_out(each, parts) for each in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _written_out(parts[schema["$ref"].rpartition("/")[2]], parts)
    return {key: _written_out(value, parts) for key, value in schema.items()}


def answers_bytes(description: str, media_type: str = "application/octet-stream") -> Responses:
    """The `responses` of a route that answers with a file, whole or in part."""
    content = {media_type: BINARY}
    return {
        200: {"description": description, "content": content, "headers": says("ETag", "Accept-Ranges", "Repr-Digest")},
        206: {"description": "The range that was asked for.", "content": content},
        **UNCHANGED,
        416: {"model": Problem, "description": "The range begins beyond the end (`range_not_satisfiable`)"},
    }


def sent_elsewhere() -> Responses:
    """The `responses` that a route has beside its bytes where readers may be sent to the store."""
    location = {"Location": {"description": "a signed address, good for minutes", "schema": {"type": "string"}}}
    return {307: {"description": "The bytes are to be read from the object store itself.", "headers": location}}


def describe(app: FastAPI) -> Description:
    """The OpenAPI document, in which every refusal is a problem and every private request needs a token."""
    document: Description = get_openapi(
        title=app.title, version=app.version, description=app.description, routes=app.routes
    )
    components = _mapping(document, "components")
    _mapping(components, "securitySchemes")["token"] = {"type": "http", "scheme": "bearer"}
    schemas = _mapping(components, "schemas")
    schemas.pop("HTTPValidationError", None)
    schemas.pop("ValidationError", None)
    paths = _mapping(document, "paths")
    for path in paths:
        operations = _mapping(paths, path)
        for method in operations:
            operation = _mapping(operations, method)
            _describe_operation(operation, private=_needs_token(f"{method.upper()} {path}"))
            _describe_headers(_mapping(operation, "responses"), method)
    return _exact(document)


class MadeOnce:
    """The description, made when it is first asked for.

    It takes seconds, in which others want answers. The first requests may come at once, and the framework cannot
    describe in two threads: one makes it, and no other waits in a thread that others need.
    """

    def __init__(self, make: Callable[[], Description]) -> None:
        """Args: make: makes it."""
        self._make = make
        self._made: Description | None = None
        self._making, self._wanted = threading.Lock(), asyncio.Lock()

    def now(self) -> Description:
        """The description; makes it here where nobody has yet."""
        with self._making:
            if self._made is None:
                self._made = self._make()
            return self._made

    async def soon(self) -> Description:
        """The description; made in a thread where nobody has yet."""
        if self._made is not None:
            return self._made
        async with self._wanted:
            return await in_thread(self.now)


def _needs_token(route: str) -> bool:
    """Whether a request needs a token everywhere: it is no public read."""
    return ACTIONS.get(route) not in (Action.LOOK, Action.READ)


def _describe_operation(operation: Description, *, private: bool) -> None:
    """Turn the refusals of one operation into problems, and add those that every operation has."""
    responses = _mapping(operation, "responses")
    responses["default"] = {"description": "Anything else that went wrong."}
    responses.setdefault("422", {"description": "The request is not valid (`invalid_input`)"})
    if private:
        operation["security"] = [{"token": []}]
        responses["401"] = {"description": f"{UnauthenticatedError.title} (`{UnauthenticatedError.code}`)"}
    problem = {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}
    for status in responses:
        if status == "default" or status >= "400":
            _mapping(responses, status)["content"] = problem


def _describe_headers(responses: Description, method: str) -> None:
    """Name the headers that answers always have."""
    for status in responses:
        headers = _mapping(_mapping(responses, status), "headers")
        headers["X-Request-Id"] = REQUEST_ID
        for name in ALWAYS_SAID.get(status, ("Location",) if (method, status) == ("post", "201") else ()):
            headers[name] = TEXT


def _exact(document: Description) -> Description:
    """The description with what its makers get wrong put right.

    Bounds beyond 2^53 are floats there, which other programs read as another whole number; and a kind that tells
    models apart has a default in each, so that it is not named among what is required, although without it none fits.
    """
    parts = _mapping(_mapping(document, "components"), "schemas")
    for tagged in _tagged(document):
        property_name = _mapping(tagged, "discriminator")["propertyName"]
        for choice in tagged["oneOf"] if isinstance(tagged["oneOf"], list) else ():
            model = _mapping(parts, choice["$ref"].rpartition("/")[2]) if "$ref" in choice else choice
            required = model.setdefault("required", [])
            if isinstance(required, list) and property_name not in required:
                required.append(property_name)
    whole = _with_whole_numbers(document)
    return whole if isinstance(whole, dict) else document


def _tagged(schema: object) -> Iterator[Description]:
    """Every choice of models in the document that a property tells apart."""
    below = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for each in below:
        yield from _tagged(each)
    if isinstance(schema, dict) and "oneOf" in schema and isinstance(schema.get("discriminator"), dict):
        yield schema


def _with_whole_numbers(part: object) -> object:
    """The same with floats that are whole numbers written as such."""
    if isinstance(part, dict):
        return {key: _with_whole_numbers(value) for key, value in part.items()}
    if isinstance(part, list):
        return [_with_whole_numbers(value) for value in part]
    return int(part) if isinstance(part, float) and part.is_integer() else part


def _mapping(parent: Description, key: str) -> Description:
    """A part of the document that is a mapping; made where there is none."""
    part = parent.setdefault(key, {})
    if not isinstance(part, dict):
        raise TypeError(f"the description's {key} is a {type(part).__name__}, not a mapping")
    return part
