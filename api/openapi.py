"""The API's own description: what each request can be refused with, and which need a token."""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import BaseModel

from api.actions import ACTIONS
from api.problems import MEDIA_TYPE, Problem
from registry.access import Action
from registry.errors import UnauthenticatedError, ZooError

Responses = dict[int | str, dict[str, object]]
Description = dict[str, object]

BINARY: Description = {"schema": {"type": "string", "format": "binary"}}


def refusals(*errors: type[ZooError]) -> Responses:
    """The `responses` of a route that raises these errors, beside what every route may answer."""
    said: dict[int | str, list[str]] = {}
    for error in errors:
        said.setdefault(error.status, []).append(f"{error.title} (`{error.code}`)")
    return {status: {"model": Problem, "description": "; ".join(titles)} for status, titles in sorted(said.items())}


def raw_body(description: str, *, also: tuple[str, type[BaseModel]] | None = None) -> Description:
    """The `openapi_extra` of a route that takes bytes as they are, and perhaps a model as another media type."""
    content = {"application/octet-stream": BINARY}
    if also is not None:
        content[also[0]] = {"schema": body_schema(also[1])}
    return {"requestBody": {"required": True, "description": description, "content": content}}


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
        200: {"description": description, "content": content},
        206: {"description": "The range that was asked for.", "content": content},
        304: {"description": "The caller has it already."},
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
            _describe_operation(_mapping(operations, method), private=_needs_token(f"{method.upper()} {path}"))
    return document


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


def _mapping(parent: Description, key: str) -> Description:
    """A part of the document that is a mapping; made where there is none."""
    part = parent.setdefault(key, {})
    if not isinstance(part, dict):
        raise TypeError(f"the description's {key} is a {type(part).__name__}, not a mapping")
    return part
