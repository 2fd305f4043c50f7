"""Which part of a network is at fault, in one sentence with its doubt."""

from collections.abc import Sequence

from client.inspections import Boundary, Estimate, Finding, InspectedModule, ReadOut, Verdict
from registry.manifest import Role

SHORTFALL = 0.5
"""A module falls short that adds less than this share of what would take it to where its file says it was."""


def verdict_of(modules: Sequence[InspectedModule], boundaries: Sequence[Boundary], read_out: ReadOut | None) -> Verdict:
    """The lowest module with a fault; what stands on it is not judged, for it was given something else to work on.

    A module is at fault where alignment falls from its inputs to its outputs, where it does not rise beyond doubt, or
    where it rises by less than half of what would take it to what its file reports from training; an output module
    where its accuracy is below that of the nearest class mean of the same features. Each is told with its interval.

    Args:
        modules: the input module first.
        boundaries: the images first.
        read_out: None where there is no output module, or it names other classes.
    """
    for module in modules:
        found = _output_fault(module, read_out) if module.role is Role.OUTPUT else _fault(module, boundaries)
        if found is not None:
            return found
    return Verdict(finding="every_module_adds", sentence=_praise(modules, boundaries))


def _fault(module: InspectedModule, boundaries: Sequence[Boundary]) -> Verdict | None:
    """What is wrong with an input or hidden module."""
    own = [boundary for boundary in boundaries if boundary.module == module.name and not boundary.is_images]
    gain, reached = module.gain, own[-1].centred_alignment
    before = boundaries[boundaries.index(own[0]) - 1]
    falls_short = _falls_short(module, before.centred_alignment)
    views = _views(own[-1], before)
    memory = f"; {_memory(module)}" if falls_short else ""
    if gain is None:
        return None
    if gain.is_below_zero:
        block = _worst(own)
        where = "" if block is None or len(own) == 1 else f", most at its block {block.block} ({block.what})"
        sentence = f"Alignment falls at {module.name}: {_told(gain)}{where}{memory}{views}."
        return _verdict("takes_away", sentence, module, block)
    if not gain.is_above_zero:
        sentence = f"{module.name} adds nothing that these images can tell: {_told(gain)}{memory}{views}."
        return _verdict("adds_nothing", sentence, module, _worst(own))
    if falls_short:
        reaches = f"{module.name} adds {_told(gain)}, but reaches only {reached.value:.3f}"
        sentence = f"{reaches}: {_memory(module)}; its weights, or these images, are not those of its training."
        return _verdict("falls_short", sentence, module, None)
    return None


def _views(end: Boundary, before: Boundary) -> str:
    """A caution where a module's inputs and outputs are pooled differently, for that alone changes alignment."""
    if end.pooling == before.pooling:
        return ""
    return f"; part of it may be the pooling, {end.pooling} after {before.pooling}"


def _falls_short(module: InspectedModule, before: Estimate) -> bool:
    """Whether it adds far less to its inputs than would take it to where training left it."""
    if module.trained_alignment is None or module.gain is None:
        return False
    wanted = module.trained_alignment - before.value
    return wanted > 0.0 and module.gain.high < SHORTFALL * wanted


def _memory(module: InspectedModule) -> str:
    return f"its file reports {module.trained_alignment:.3f} on images held out from its training"


def _worst(own: Sequence[Boundary]) -> Boundary | None:
    """The block at which alignment falls most, if it falls beyond doubt."""
    falling = [boundary for boundary in own if boundary.gain is not None and boundary.gain.is_below_zero]
    return min(falling, key=lambda boundary: boundary.gain.value if boundary.gain else 0.0, default=None)


def _verdict(finding: Finding, sentence: str, module: InspectedModule, block: Boundary | None) -> Verdict:
    return Verdict(finding=finding, sentence=sentence, module=module.name, block=block.block if block else None)


def _output_fault(module: InspectedModule, read_out: ReadOut | None) -> Verdict | None:
    """What is wrong with an output module."""
    if read_out is None or not read_out.lead.is_below_zero:
        return None
    lead, means = read_out.lead, read_out.class_means_accuracy
    points = f"{-100 * lead.value:.1f} points (95 %: {-100 * lead.high:.1f} to {-100 * lead.low:.1f})"
    told = f"the nearest class mean of the same features reaches {means:.1%} accuracy, {points} more than it"
    sentence = f"{module.name} reads out less than is there: {told}."
    return _verdict("output_falls_short", sentence, module, None)


def _praise(modules: Sequence[InspectedModule], boundaries: Sequence[Boundary]) -> str:
    """What is said where no module is at fault; a block inside that takes away is still named."""
    first, last = boundaries[0].centred_alignment.value, boundaries[-1].centred_alignment.value
    hidden = sum(module.role is not Role.OUTPUT for module in modules)
    what = "The module adds" if hidden == 1 else f"Each of the {hidden} modules adds"
    rise = f"{what}, with 95 % confidence: alignment rises from {first:.3f} of the images to {last:.3f}"
    block = _worst([boundary for boundary in boundaries if not boundary.is_images])
    if block is None or block.gain is None:
        return f"{rise}."
    return f"{rise}, though block {block.block} ({block.what}) of {block.module} takes {_told(block.gain)}."


def _told(estimate: Estimate) -> str:
    """A difference with its interval."""
    return f"{estimate.value:+.3f} (95 %: {estimate.low:+.3f} to {estimate.high:+.3f})"
