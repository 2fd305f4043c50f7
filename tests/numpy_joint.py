"""What a worker does for sets, without torch: linear modules side by side, with NumPy."""

from collections.abc import Mapping

import numpy as np

from kernel_methods.joint import joint_evidence
from registry.module_file import module_bytes, read_tensors
from registry.names import Digest
from registry.records import Job
from registry.work import JointResult, JointWork, ModuleFailure, ModuleVerdict
from registry.zoo import Zoo
from tests.builders import module_manifest
from tests.numpy_worker import _arrays, _features


def half_module(which: str, *, noise: float = 3.0, blind: bool = False, **changes: object) -> bytes:
    """A module file: what it gives tells one half of a quadrant's place (``top`` or ``left``), or nothing if blind.

    Two of its four outputs look at the two halves of the image, the other two at noise in its corners.
    """
    weight = np.zeros((4, 8, 8), dtype=np.float32)
    halves = (slice(0, 4), slice(4, 8))
    for index, half in enumerate(halves):
        if which == "top":
            weight[index, half, :] = 0.5
        else:
            weight[index, :, half] = 0.5
    weight[2, 0, 0] = weight[3, 7, 7] = noise
    if blind:
        weight[:2] = 0.25
    tensors = {"1.weight": weight.reshape(4, 64), "1.bias": np.full(4, 8.0, dtype=np.float32)}
    return module_bytes(module_manifest(**changes), tensors)


def join(zoo: Zoo, work: JointWork, *, broken: Mapping[Digest, str] | None = None) -> JointResult:
    """Joint statistics of single-module chains of linear modules; some modules fail for a reason."""
    failures = tuple(ModuleFailure(module=module, reason=why) for module, why in (broken or {}).items())
    ends = [chain[-1] for chain in work.chains if chain[-1] not in (broken or {})]
    verdicts = tuple(ModuleVerdict(module=module) for module in work.verify if module in ends)
    if len(ends) < 2:
        return JointResult(modules=tuple(ends), failures=failures, verdicts=verdicts)
    blocks = []
    for module in ends:
        images, labels = _arrays(zoo, module, work.apart)
        with zoo.blobs.open(module) as file:
            blocks.append(_features(images, read_tensors(file)))
    shuffled = np.stack([np.random.default_rng(seed).permutation(labels) for seed in range(99)])
    count = work.apart.shards_of(len(labels))
    shards = [np.arange(start, len(labels), count) for start in range(count)]
    evidence = joint_evidence(blocks, labels, shuffled, shards=shards, classes=len(work.task.classes))
    blob = zoo.blobs.put(evidence.to_bytes())
    return JointResult(modules=tuple(ends), blob=blob, milliseconds=2.0, failures=failures, verdicts=verdicts)


def join_all(zoo: Zoo, *, broken: Mapping[Digest, str] | None = None) -> list[Job]:
    """Claim and finish joint jobs until there are none."""
    done = []
    while (job := zoo.jobs.claim(["joint"], worker="numpy")) is not None:
        assert isinstance(job.work, JointWork)
        result = join(zoo, job.work, broken=broken)
        done.append(zoo.jobs.finish(job.id, attempt=job.attempt, result=result))
    return done
