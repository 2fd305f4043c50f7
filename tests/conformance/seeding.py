"""A small zoo of one's own: something of every kind, so that requests find what they ask for."""

from dataclasses import dataclass

import httpx

from tests.conformance.files import digest_of, input_module, output_module, recipe, zip_dataset


@dataclass(frozen=True, slots=True)
class Seeded:
    """What is in the zoo, by the names that paths and bodies have for it."""

    values: dict[str, list[str | int]]


def seed(http: httpx.Client, namespace: str) -> Seeded:
    """Publish two modules, compose them, upload a dataset, make a task, ask about it, and queue a training run."""
    below = input_module()
    above = output_module(below)
    for name, data in {"in": below, "out": above}.items():
        http.post(f"/modules/{namespace}/{name}/versions", content=data).raise_for_status()
    http.put(f"/modules/{namespace}/in/aliases/best", json={"version": 1}, headers={"If-None-Match": "*"})
    refs = [f"{namespace}/in@1", f"{namespace}/out@1"]
    pipeline = _made(http, "/pipelines", {"name": namespace, "modules": refs})
    data = zip_dataset()
    http.post("/datasets", content=data).raise_for_status()
    task = _made(http, "/tasks", {"dataset": digest_of(data), "classes": {"a": ["cat"], "b": ["dog"]}})
    asked = http.post("/transferability", json={"task": task["id"]}, headers={"Prefer": "wait=0"}).json()
    job = _made(http, "/jobs", {"name": f"{namespace}/trained", "recipe": recipe(digest_of(data))})
    return Seeded(
        {
            "namespace": [namespace],
            "name": ["in", "out"],
            "ref": [1, digest_of(below), digest_of(above), "best", "latest"],
            "alias": ["best"],
            "digest": [digest_of(data), digest_of(below), digest_of(above)],
            "pipeline": [pipeline["id"], namespace],
            "task": [task["id"], digest_of(data)],
            "query": [asked["id"]],
            "job_id": [job["id"], job["id"] - 1],
            "code": ["not_found", "busy"],
        }
    )


def _made(http: httpx.Client, path: str, body: dict[str, object]) -> dict[str, object]:
    return http.post(path, json=body).raise_for_status().json()
