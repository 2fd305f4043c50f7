"""What a worker does, without torch: linear modules run with NumPy, so that services are tested on real scores."""

import io
import zipfile
from collections.abc import Mapping, Sequence

import numpy as np
from PIL import Image

from kernel_methods.evidence import Evidence
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics
from registry.dataset_file import limits_from, load_arrays
from registry.manifest import Role
from registry.module_file import module_bytes, read_tensors
from registry.names import Digest, ModuleName, ModuleRef
from registry.records import Job, ModuleSearch, PublishedModule
from registry.work import ModuleStatistics, ModuleVerdict, ScoreResult, ScoreWork, VerifyResult, VerifyWork
from registry.zoo import Zoo
from tests.builders import module_manifest

OWNER = "ada"


def linear_module(seed: int, **changes: object) -> bytes:
    """A module file: the builders' 64 -> 4 linear input module, with weights drawn by a seed."""
    draws = np.random.default_rng(seed)
    tensors = {
        "1.weight": draws.normal(size=(4, 64)).astype(np.float32),
        "1.bias": np.zeros(4, dtype=np.float32),
    }
    return module_bytes(module_manifest(**changes), tensors)


def quadrant_module(*, blind: bool = False) -> bytes:
    """A module whose four outputs are the brightness of the four quadrants; a blind one sees only the whole."""
    weight = np.zeros((4, 8, 8), dtype=np.float32)
    for index in range(4):
        top, left = 4 * (index // 2), 4 * (index % 2)
        weight[index, top : top + 4, left : left + 4] = 1.0
    if blind:
        weight[:] = 1.0
    tensors = {"1.weight": weight.reshape(4, 64), "1.bias": np.full(4, 8.0, dtype=np.float32)}
    return module_bytes(module_manifest(), tensors)


def hidden_module(below: Digest) -> bytes:
    """A module file: the builders' hidden module, standing on a module of four outputs."""
    tensors = {"1.weight": np.eye(4, dtype=np.float32), "1.bias": np.zeros(4, dtype=np.float32)}
    return module_bytes(module_manifest(Role.HIDDEN, below=below), tensors)


def output_module(below: Digest) -> bytes:
    """A module file: the builders' output module for two classes, standing on a module of four outputs."""
    tensors = {"2.weight": np.eye(2, 4, dtype=np.float32), "2.bias": np.zeros(2, dtype=np.float32)}
    return module_bytes(module_manifest(Role.OUTPUT, below=below), tensors)


def publish(zoo: Zoo, name: str, data: bytes) -> PublishedModule:
    """Publish a module file's bytes, and let a worker say that they are verified."""
    module = publish_only(zoo, name, data)
    verify_all(zoo)
    return zoo.modules.get(ModuleRef.parse(module.ref))


def publish_only(zoo: Zoo, name: str, data: bytes) -> PublishedModule:
    """Publish a module file's bytes; nobody has looked at them yet."""
    return zoo.modules.publish(ModuleName.parse(name), zoo.blobs.put(data)).module


def verify_all(zoo: Zoo, *, refused: Mapping[Digest, str] | None = None) -> list[Job]:
    """Claim and finish verify jobs until there are none: every module is verified but those to be refused."""
    done = []
    while (job := zoo.jobs.claim(["verify"], worker="numpy")) is not None:
        assert isinstance(job.work, VerifyWork)
        verdict = ModuleVerdict(module=job.work.module, refused=(refused or {}).get(job.work.module))
        done.append(zoo.jobs.finish(job.id, attempt=job.attempt, result=VerifyResult(verdict=verdict)))
    return done


def verdicts_of(work: ScoreWork) -> tuple[ModuleVerdict, ...]:
    """All that the work asks to verify, verified."""
    return tuple(ModuleVerdict(module=module) for module in work.verify)


def quadrant_zip(
    per_class: int = 20, classes: Sequence[str] = ("a", "b", "c", "d"), *, strangers: int = 0, seed: int = 0
) -> bytes:
    """A zip of class folders: 8 x 8 grey images, noise with one bright quadrant that is the class.

    So many images, drawn at random, are labelled ``stranger`` instead.
    """
    draws = np.random.default_rng(seed)
    mislabelled = set(draws.choice(per_class * len(classes), strangers, replace=False).tolist())
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for index, label in enumerate(classes):
            top, left = 4 * (index // 2), 4 * (index % 2)
            for number in range(per_class):
                pixels = draws.integers(0, 120, size=(8, 8), dtype=np.uint8)
                pixels[top : top + 4, left : left + 4] += 100
                folder = "stranger" if index * per_class + number in mislabelled else label
                archive.writestr(zipfile.ZipInfo(f"{folder}/{number:03}.png"), png(pixels))
    return packed.getvalue()


def png(pixels: np.ndarray) -> bytes:
    """An image as PNG bytes."""
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def add_dataset(zoo: Zoo, data: bytes | None = None) -> Digest:
    """Upload a dataset and give its digest."""
    return zoo.datasets.add(zoo.blobs.put(data or quadrant_zip()), owner=OWNER).dataset.digest


def work_all(zoo: Zoo) -> list[Job]:
    """Claim and finish score jobs until there are none."""
    done = []
    while (job := zoo.jobs.claim(["score"], worker="numpy")) is not None:
        assert isinstance(job.work, ScoreWork)
        result = ScoreResult(statistics=score(zoo, job.work), verdicts=verdicts_of(job.work))
        done.append(zoo.jobs.finish(job.id, attempt=job.attempt, result=result))
    return done


def score(zoo: Zoo, work: ScoreWork) -> tuple[ModuleStatistics, ...]:
    """Statistics of single-module chains of linear modules."""
    made = []
    for chain in work.chains:
        images, labels = _arrays(zoo, chain[0], work)
        with zoo.blobs.open(chain[0]) as file:
            features = _features(images, read_tensors(file))
        count = work.shards_of(len(labels))
        parts = [slice(start, None, count) for start in range(count)]
        shards = [TaskStatistics.of(features[part], labels[part], classes=len(work.task.classes)) for part in parts]
        shuffled = np.stack([np.random.default_rng(seed).permutation(labels) for seed in range(99)])
        sums = ShuffledSums.of(features, shuffled, classes=len(work.task.classes))
        packed = Evidence(tuple(shards), sums).to_bytes()
        made.append(ModuleStatistics(module=chain[0], blob=zoo.blobs.put(packed), milliseconds=1.0))
    return tuple(made)


def _arrays(zoo: Zoo, module: Digest, work: ScoreWork) -> tuple[np.ndarray, np.ndarray]:
    """A task's images as one module wants them, drawn by the seed."""
    found = next(each for each in _modules(zoo) if each.digest == module)
    assert found.preprocessing is not None
    with zoo.blobs.open(work.task.dataset) as file:
        loaded = load_arrays(
            file,
            preprocessing=found.preprocessing,
            classes=work.task.classes,
            limits=limits_from(zoo.settings),
        )
    order = np.random.default_rng(work.seed).permutation(len(loaded.labels))[work.start : work.examples]
    return loaded.images[order], loaded.labels[order]


def _modules(zoo: Zoo) -> list[PublishedModule]:
    """Every version of every module."""
    names = [
        ModuleName(each.namespace, each.name)
        for each in zoo.modules.search(ModuleSearch(), limit=200, cursor=None, facets=False).items
    ]
    return [
        zoo.modules.get(ModuleRef.parse(f"{name}@{summary.version}"))
        for name in names
        for summary in zoo.modules.overview(name).versions
    ]


def _features(images: np.ndarray, tensors: Mapping[str, np.ndarray]) -> np.ndarray:
    """Unit features of ReLU outputs; shape (n, 4)."""
    inputs = (images.astype(np.float64) / 255 - 0.5) / 0.5
    outputs = inputs.reshape(len(images), -1) @ tensors["1.weight"].T.astype(np.float64) + tensors["1.bias"]
    active = np.maximum(outputs, 0)
    return active / np.maximum(np.linalg.norm(active, axis=1, keepdims=True), 1e-12)
