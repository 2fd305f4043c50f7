"""Templates to answers: autoescaped HTML under a strict content policy, and the few files pages are made with."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse

from api.pages import words
from api.problems import FAULTS_TOLD, challenge
from registry.errors import UnauthenticatedError, ZooError
from registry.names import ModuleRef
from registry.records import short

HERE = Path(__file__).parent
MEDIA_TYPES = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
CONTENT_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class Asset:
    """A file that pages refer to; its tag changes with its bytes."""

    data: bytes
    media_type: str
    tag: str


def _read_assets() -> dict[str, Asset]:
    paths = [path for path in sorted((HERE / "static").iterdir()) if path.suffix in MEDIA_TYPES]
    read = {path.name: path.read_bytes() for path in paths}
    return {
        name: Asset(data, MEDIA_TYPES[Path(name).suffix], hashlib.sha256(data).hexdigest()[:16])
        for name, data in read.items()
    }


ASSETS = _read_assets()


def asset_url(name: str) -> str:
    """Where a file is; the address changes with its bytes, so it may be kept for ever."""
    return f"/static/{name}?v={ASSETS[name].tag}"


def module_url(ref: str) -> str:
    """The page of a version; `ref` is namespace/name@version."""
    parsed = ModuleRef.parse(ref)
    return f"/ui/modules/{parsed.name}?{urlencode({'version': str(parsed.selector)})}"


def with_query(path: str, **fields: str | None) -> str:
    """A path with those fields that say something."""
    return path + "?" + urlencode({name: value for name, value in fields.items() if value}, quote_via=quote)


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        bytes=words.bytes_words,
        date=words.date_words,
        number=words.number_words,
        score=words.score_words,
        shape=words.shape_words,
        short=short,
        short_number=words.short_number,
        spoken=words.spoken,
        verification=words.verification_words,
    )
    environment.globals.update(asset=asset_url, module_url=module_url, with_query=with_query)
    return environment


_TEMPLATES = _environment()


def page(
    template: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    private: bool = False,
    **given: object,
) -> HTMLResponse:
    """One page, or a piece of one.

    Args:
        template: name of the file in templates/.
        status: HTTP status.
        headers: more headers than every page has.
        private: whether no cache may keep it, because it tells of somebody's data.
        given: what the template is about.
    """
    body = _TEMPLATES.get_template(template).render(given)
    sent = {
        "Content-Security-Policy": CONTENT_POLICY,
        "Cache-Control": "no-store" if private else "no-cache",
        **(headers or {}),
    }
    return HTMLResponse(body, status_code=status, headers=sent)


def error_page(request: Request, error: ZooError) -> HTMLResponse:
    """An error for people: a whole page, or only the piece that a running page asked for."""
    piece = is_piece(request)
    template = "_error.html" if piece else "error.html"
    faults = error.faults[:FAULTS_TOLD]
    headers = {"WWW-Authenticate": challenge(error.code)} if error.status == UnauthenticatedError.status else {}
    return page(template, status=error.status, headers=headers, private=True, error=error, faults=faults, piece=piece)


def is_piece(request: Request) -> bool:
    """Whether a page that is open asks for a piece of itself."""
    return request.headers.get("hx-request") == "true"
