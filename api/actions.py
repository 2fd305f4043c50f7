"""What kind of request every route is: the one table that says who may ask it. A route that is not here is for nobody.

What a kind means, and which role may do it, is in `registry.access`; docs/access.md has both for people.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from re import Pattern

from starlette.routing import compile_path

from registry.access import Action

MODULE = "/modules/{namespace}/{name}"
VERSION = f"{MODULE}/versions/{{ref}}"
ALIAS = f"{MODULE}/aliases/{{alias}}"

ACTIONS: Mapping[str, Action] = {
    "GET /healthz": Action.LOOK,
    "GET /readyz": Action.LOOK,
    "GET /metrics": Action.LOOK,
    "GET /errors": Action.LOOK,
    "GET /errors/{code}": Action.LOOK,
    "GET /openapi.json": Action.LOOK,
    "GET /modules": Action.READ,
    f"GET {MODULE}": Action.READ,
    f"POST {MODULE}/versions": Action.PUBLISH,
    f"GET {VERSION}": Action.READ,
    f"DELETE {VERSION}": Action.PUBLISH,
    f"GET {VERSION}/file": Action.READ,
    f"GET {VERSION}/parts": Action.READ,
    f"GET {VERSION}/tensors": Action.READ,
    f"GET {VERSION}/lineage": Action.READ,
    f"PUT {VERSION}/yank": Action.PUBLISH,
    f"DELETE {VERSION}/yank": Action.PUBLISH,
    f"GET {ALIAS}": Action.READ,
    f"PUT {ALIAS}": Action.PUBLISH,
    f"DELETE {ALIAS}": Action.PUBLISH,
    f"GET {ALIAS}/history": Action.READ,
    "PUT /blobs/{digest}": Action.STORE,
    "GET /blobs/{digest}": Action.STORE,
    "GET /blobs/{digest}/parts": Action.STORE,
    "OPTIONS /uploads": Action.LOOK,
    "OPTIONS /uploads/{upload}": Action.LOOK,
    "POST /uploads": Action.STORE,
    "GET /uploads/{upload}": Action.STORE,
    "POST /uploads/{upload}": Action.STORE,
    "PATCH /uploads/{upload}": Action.STORE,
    "DELETE /uploads/{upload}": Action.STORE,
    "GET /pipelines": Action.READ,
    "POST /pipelines": Action.PUBLISH,
    "POST /pipelines/check": Action.ASK,
    "GET /pipelines/{pipeline}": Action.READ,
    "GET /pipelines/{pipeline}/file": Action.READ,
    "POST /pipelines/{pipeline}/predict": Action.ASK,
    "GET /datasets": Action.ASK,
    "POST /datasets": Action.ASK,
    "GET /datasets/{digest}": Action.ASK,
    "DELETE /datasets/{digest}": Action.ASK,
    "GET /tasks": Action.ASK,
    "POST /tasks": Action.ASK,
    "GET /tasks/{task}": Action.ASK,
    "POST /reusability": Action.ASK,
    "POST /transferability": Action.ASK,
    "POST /transferability/sets": Action.ASK,
    "GET /transferability/map": Action.ASK,
    "GET /transferability/labels": Action.ASK,
    "GET /queries/{query}": Action.ASK,
    "GET /queries/{query}/events": Action.ASK,
    "DELETE /queries/{query}": Action.ASK,
    "GET /queries/{query}/outcomes": Action.ASK,
    "POST /queries/{query}/outcomes": Action.ASK,
    "GET /calibration": Action.ASK,
    "GET /jobs": Action.ASK,
    "POST /jobs": Action.TRAIN,
    "GET /jobs/{job_id}": Action.ASK,
    "GET /jobs/{job_id}/events": Action.ASK,
    "DELETE /jobs/{job_id}": Action.ASK,
    "POST /jobs/claim": Action.REPORT,
    "PUT /jobs/{job_id}/heartbeat": Action.REPORT,
    "POST /jobs/{job_id}/finish": Action.REPORT,
    "POST /jobs/{job_id}/fail": Action.REPORT,
    "POST /jobs/{job_id}/release": Action.REPORT,
    "GET /tokens": Action.MANAGE,
    "POST /tokens": Action.MANAGE,
    "GET /tokens/me": Action.INTRODUCE,
    "DELETE /tokens/{token}": Action.INTRODUCE,
    "GET /changes": Action.READ,
    "GET /changes/events": Action.READ,
    "GET /audit": Action.MANAGE,
    "GET /audit/check": Action.MANAGE,
    "POST /webhooks": Action.MANAGE,
    "GET /webhooks": Action.MANAGE,
    "GET /webhooks/{webhook}": Action.MANAGE,
    "DELETE /webhooks/{webhook}": Action.MANAGE,
    "GET /webhooks/{webhook}/deliveries": Action.MANAGE,
    "GET /namespaces": Action.MANAGE,
    "GET /namespaces/{namespace}": Action.MANAGE,
    "PUT /namespaces/{namespace}": Action.MANAGE,
}

PAGES: Mapping[str, Action] = {
    "GET /": Action.READ,
    "GET /ui/modules/{namespace}/{name}": Action.READ,
    "GET /static/{name}": Action.LOOK,
    "GET /rank": Action.LOOK,
    "POST /rank": Action.ASK,
    "POST /rank/token": Action.INTRODUCE,
    "GET /rank/calibration": Action.ASK,
    "GET /rank/{query_id}": Action.ASK,
    "GET /rank/{query_id}/progress": Action.ASK,
    "GET /rank/{query_id}/ranking.json": Action.ASK,
    "GET /rank/{query_id}/ranking.{kind}": Action.ASK,
}
"""Pages check it themselves, for their refusals are pages, in which one may give a token."""

EVERY = {**ACTIONS, **PAGES}

DEAR = {
    "POST /reusability",
    "POST /transferability",
    "POST /transferability/sets",
    "GET /transferability/map",
    "GET /pipelines/{pipeline}/file",
    "POST /pipelines/{pipeline}/predict",
    "POST /jobs",
    "POST /datasets",
    "POST /rank",
}
"""Requests that cost the zoo or its workers much; fewer of them are taken."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The route that a path means, as the table has it, and the namespace that it is about."""

    route: str
    action: Action
    namespace: str | None

    @property
    def is_page(self) -> bool:
        """Whether it is for people."""
        return self.route in PAGES


def _compiled() -> dict[str, list[tuple[Pattern[str], str, Action]]]:
    """The table by method; what has no placeholder comes first, as the more exact."""
    by_method: dict[str, list[tuple[Pattern[str], str, Action]]] = {}
    for route, action in sorted(EVERY.items(), key=lambda each: each[0].count("{")):
        method, _, path = route.partition(" ")
        by_method.setdefault(method, []).append((compile_path(path)[0], route, action))
    return by_method


_COMPILED = _compiled()


def wanted(method: str, path: str) -> Wanted | None:
    """The route that a request means; None where the table has none."""
    for pattern, route, action in _COMPILED.get("GET" if method == "HEAD" else method, ()):
        found = pattern.match(path)
        if found is not None:
            return Wanted(route, action, found.groupdict().get("namespace"))
    return None
