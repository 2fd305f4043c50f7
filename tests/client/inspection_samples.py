"""Inspections for tests, without a network."""

from client.inspections import Boundary, Estimate, InspectedModule, Inspection, ReadOut, Verdict
from registry.manifest import Role
from tests.builders import digest_of


def estimate(value: float, *, reach: float = 0.02) -> Estimate:
    """A number, give or take."""
    return Estimate(value=value, low=value - reach, high=value + reach)


def boundary(module: str, block: int, aligned: float, **changes: object) -> Boundary:
    """One place in a network."""
    fields: dict[str, object] = {
        "module": module,
        "block": block,
        "what": "relu, conv2d, batch_norm" if block else "the images",
        "ends_module": False,
        "shape": (8, 4, 4),
        "activation": "relu",
        "pooling": "average-4x4",
        "features": 128,
        "dead_features": 0,
        "zero_images": 0,
        "centred_alignment": estimate(aligned),
        "chance": 0.01,
        "p_value": 1e-9,
        "alignment": 0.5,
        "upper_triangle_alignment": 0.5,
        "same_class_kernel": 0.8,
        "different_class_kernel": 0.4,
    }
    return Boundary.model_validate({**fields, **changes})


def network(*scores: tuple[str, float], images: float = 0.1) -> tuple[Boundary, ...]:
    """The images, then boundaries of modules by name; gains are those of the scores, give or take 0.02."""
    rows = [boundary(scores[0][0], 0, images)]
    for place, (name, aligned) in enumerate(scores):
        block = 1 if rows[-1].module != name or rows[-1].is_images else rows[-1].block + 1
        ends = place + 1 == len(scores) or scores[place + 1][0] != name
        gain = estimate(aligned - rows[-1].centred_alignment.value)
        rows.append(boundary(name, block, aligned, ends_module=ends, gain=gain))
    return tuple(rows)


def modules(boundaries: tuple[Boundary, ...], **trained: float) -> tuple[InspectedModule, ...]:
    """The modules of a network, with what their files report where that is given."""
    found, before = [], boundaries[0].centred_alignment.value
    for end in (each for each in boundaries if each.ends_module):
        aligned = end.centred_alignment.value
        found.append(
            InspectedModule(
                name=end.module,
                role=Role.HIDDEN if found else Role.INPUT,
                digest=digest_of(end.module),
                stands_on_its_own=True,
                gain=estimate(aligned - before),
                trained_alignment=trained.get(end.module),
            )
        )
        before = aligned
    return tuple(found)


def output() -> InspectedModule:
    """An output module."""
    return InspectedModule(name="out", role=Role.OUTPUT, digest=digest_of("out"), stands_on_its_own=True)


def read_out(lead: float) -> ReadOut:
    """A read-out with this lead over class means."""
    return ReadOut(
        accuracy=estimate(0.7), mean_log_likelihood=estimate(-0.9), class_means_accuracy=0.75, lead=estimate(lead)
    )


def inspection(*scores: tuple[str, float], sentence: str = "All is well.") -> Inspection:
    """An inspection of a network with an output module."""
    boundaries = network(*scores)
    return Inspection(
        verdict=Verdict(finding="every_module_adds", sentence=sentence),
        modules=(*modules(boundaries), output()),
        boundaries=boundaries,
        read_out=read_out(0.01),
        notes=("mind the gap",),
        classes=("cat", "dog"),
        n=400,
        data=digest_of("data"),
        seed=0,
    )
