"""Small valid records for tests: each builder makes the least that is right, and takes what the test is about."""

import hashlib
from datetime import UTC, datetime, timedelta

from registry.audit_records import Deed, Kind
from registry.manifest import ModuleManifest, Role
from registry.names import Digest, ModuleName
from registry.recipes import TaskSpec, TrainingRecipe
from registry.records import (
    Dataset,
    KeptStatistics,
    PinnedModule,
    Pipeline,
    PublishedModule,
    Query,
    QueryStatus,
    Task,
)
from registry.work import TrainWork

NOW = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
"""The moment of everything that says no other; it has microseconds, so that losing them shows."""


def later(seconds: float) -> datetime:
    """So long after NOW."""
    return NOW + timedelta(seconds=seconds)


def deed(kind: Kind = "publish", ref: str = "ada/digits@1", *, at: datetime = NOW, by: str = "ada") -> Deed:
    """One change as it is told to the audit."""
    return Deed(kind=kind, ref=ref, by=by, at=at)


def digest_of(what: object) -> Digest:
    """A digest that differs for everything that prints differently."""
    return Digest("sha256:" + hashlib.sha256(str(what).encode()).hexdigest())


def module_manifest(role: Role = Role.INPUT, **changes: object) -> ModuleManifest:
    """The manifest of a linear module for grey 8 x 8 images, with some of its fields changed."""
    parts = {Role.INPUT: _input_fields, Role.HIDDEN: _hidden_fields, Role.OUTPUT: _output_fields}
    return ModuleManifest.model_validate({"role": role, **parts[role](), **changes})


def published_module(
    name: str = "ada/digits",
    version: int = 1,
    *,
    role: Role = Role.INPUT,
    digest: Digest | None = None,
    at: datetime = NOW,
    **changes: object,
) -> PublishedModule:
    """One version of a module; without a digest, one made from its name and version."""
    parsed = ModuleName.parse(name)
    return PublishedModule(
        **dict(module_manifest(role, **changes)),
        namespace=parsed.namespace,
        name=parsed.name,
        version=version,
        digest=digest or digest_of(f"{name}@{version}"),
        size_bytes=1234,
        published_at=at,
    )


def trained_on(data: object, *labels: str) -> dict[str, object]:
    """The `task` of a manifest: trained on this data, to tell these classes apart."""
    return {
        "data": digest_of(data),
        "classes": [{"label": label, "merged": [label]} for label in labels],
        "examples": 100,
        "labels_known": 100,
        "pairs_known": 0,
    }


def blob_digest(data: bytes) -> Digest:
    """Digest of bytes."""
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def pipeline(
    pipeline_id: str = "pipe", *, at: datetime = NOW, digests: tuple[Digest, ...] = (), namespace: str = "ada"
) -> Pipeline:
    """A pipeline of these modules."""
    roles = [Role.INPUT] + [Role.OUTPUT] * (len(digests) - 1)
    pinned = tuple(
        PinnedModule(ref=f"{namespace}/part@{index + 1}", digest=digest, role=role)
        for index, (digest, role) in enumerate(zip(digests, roles, strict=bool(digests)))
    )
    return Pipeline(id=pipeline_id, name="digits", modules=pinned, labels=("a", "b"), created_at=at)


def dataset(what: object = "data", *, at: datetime = NOW) -> Dataset:
    """A dataset of two classes."""
    return Dataset(
        digest=digest_of(what),
        format="zip",
        size_bytes=99,
        examples=4,
        classes=("a", "b"),
        counts=(2, 2),
        shape=(8, 8, 1),
        same_shape=True,
        created_at=at,
    )


def task(task_id: str = "task", *, data: object = "data", at: datetime = NOW) -> Task:
    """A task on a dataset of `dataset`."""
    classes = {"a": ("a",), "b": ("b",)}
    return Task(id=task_id, dataset=digest_of(data), classes=classes, counts={"a": 2, "b": 2}, created_at=at)


def train_work(name: str = "ada/digits", *, data: object = "data") -> TrainWork:
    """Work that trains a module."""
    return TrainWork(name=name, recipe=TrainingRecipe(task=TaskSpec(dataset=digest_of(data)), family="mlp"))


def kept_statistics(key: object = "key", *, data: object = "data", blob: object = "blob") -> KeptStatistics:
    """Where the statistics of a module are."""
    return KeptStatistics(
        key=digest_of(key),
        module=digest_of("module"),
        data=digest_of(data),
        labels=("a", "b"),
        blob=digest_of(blob),
        milliseconds=1.5,
        scores={"alignment": 0.5},
    )


def query(query_id: str = "query", *, status: QueryStatus = QueryStatus.RUNNING) -> Query:
    """A question that was just asked."""
    return Query(id=query_id, kind="ranking", status=status, plan="{}", created_at=NOW)


def _input_fields() -> dict[str, object]:
    blocks = [{"block": "flatten"}, {"block": "linear", "in_features": 64, "out_features": 4}]
    grey = {"colour": "grey", "height": 8, "width": 8, "mean": (0.5,), "std": (0.5,)}
    return {
        "architecture": {"blocks": blocks},
        "takes": {"shape": (1, 8, 8)},
        "gives": {"shape": (4,)},
        "preprocessing": grey,
        "feature_map": {"activation": "relu", "k_min": 0.0},
    }


def _hidden_fields() -> dict[str, object]:
    blocks = [{"block": "relu"}, {"block": "linear", "in_features": 4, "out_features": 4}]
    return {
        "architecture": {"blocks": blocks},
        "takes": {"shape": (4,)},
        "gives": {"shape": (4,)},
        "feature_map": {"activation": "relu", "k_min": 0.0},
        "below": digest_of("below"),
    }


def _output_fields() -> dict[str, object]:
    blocks = [
        {"block": "relu"},
        {"block": "unit_norm"},
        {"block": "linear", "in_features": 4, "out_features": 2},
    ]
    return {
        "architecture": {"blocks": blocks},
        "takes": {"shape": (4,)},
        "gives": {"shape": (2,)},
        "labels": ("a", "b"),
        "below": digest_of("below"),
    }
