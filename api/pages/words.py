"""How numbers, sizes, shapes and decisions are written for people."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime

from registry.architectures.specs import ArchitectureSpec, BlocksSpec, TimmSpec, TorchvisionSpec
from registry.rankings import Ranking
from registry.records import Verification, VerificationState

KINDS_NAMED = 4
MODULES_NAMED = 3
STEPS = ("", "K", "M", "B", "T")


def score_words(score: float | None) -> str:
    """A score with three decimals and a true minus sign; a dash for none."""
    if score is None:
        return "–"
    text = f"{score:.3f}"
    return text.replace("-0.000", "0.000").replace("-", "−")


def number_words(number: int) -> str:
    """A whole number with thin groups: 12 345."""
    return f"{number:,}".replace(",", "\u202f")


def short_number(number: int) -> str:
    """A count in three digits: 61.7 K, 11.2 M."""
    size = float(number)
    for step in STEPS:
        if size < 999.5 or step == STEPS[-1]:
            return f"{size:.3g}\u202f{step}".rstrip("\u202f") if step else str(number)
        size /= 1000
    raise AssertionError("the last step always returns")


def bytes_words(size_bytes: int) -> str:
    """A size in binary units: 1.4 MiB."""
    size = float(size_bytes)
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024 or unit == "GiB":
            return f"{size:.1f} {unit}" if unit != "bytes" else f"{size_bytes} bytes"
        size /= 1024
    raise AssertionError("the last unit always returns")


def shape_words(shape: Sequence[int]) -> str:
    """A shape: 3 × 32 × 32."""
    return " × ".join(str(side) for side in shape)


def date_words(moment: datetime) -> str:
    """The day of a moment, in UTC."""
    return moment.strftime("%Y-%m-%d")


def verification_words(verification: Verification) -> str:
    """What workers found of a version, in a few words; a reason is told elsewhere."""
    when = "" if verification.at is None else f" on {date_words(verification.at)}"
    match verification.state:
        case VerificationState.UNVERIFIED:
            return "not yet"
        case VerificationState.VERIFIED:
            return f"by a worker{when}"
        case VerificationState.REFUSED:
            return f"refused by a worker{when}"


def spoken(name: str) -> str:
    """A name of the code as words: centred alignment."""
    return name.replace("_", " ")


def architecture_words(spec: ArchitectureSpec) -> str:
    """An architecture in one line: a family or backbone and its part, or how many blocks of which kind."""
    if not isinstance(spec, BlocksSpec):
        stop = "the end" if spec.stop is None else str(spec.stop)
        whole = spec.start == 0 and spec.stop is None
        if isinstance(spec, TorchvisionSpec | TimmSpec):
            name, pieces = f"{spec.library} {spec.backbone}", "stages"
        else:
            name, pieces = spec.family, "blocks"
        return name if whole else f"{name}, {pieces} {spec.start} to {stop}"
    kinds = Counter(block.block for block in spec.blocks)
    named = [spoken(kind) if count == 1 else f"{count} {spoken(kind)}" for kind, count in kinds.items()]
    rest = ["…"] if len(named) > KINDS_NAMED else []
    return ", ".join(named[:KINDS_NAMED] + rest)


def listed(words: Sequence[str], *, most: int) -> str:
    """The first words of a list, and how many more there are."""
    rest = len(words) - most
    return ", ".join(words[:most]) + (f" and {rest} more" if rest > 0 else "")


def decision_words(ranking: Ranking) -> str:
    """What may be said of a ranking, as a sentence."""
    refs = [row.module.ref for row in ranking.ranking if row.rank == 1]
    match ranking.decision:
        case "none_better_than_chance":
            return f"None of the {ranking.candidates} modules is better than chance on this data."
        case "tie":
            return f"{_joined(refs)} cannot be told apart on this data."
        case "ranked" if ranking.candidates == 1:
            return f"{refs[0]} is better than chance; it is the only module that was asked."
        case "ranked":
            return f"{refs[0]} ranks first."


def advice_words(ranking: Ranking) -> str:
    """What to do with a decision, as a sentence."""
    match ranking.decision:
        case "none_better_than_chance":
            return "Give more labelled examples, or train a module on this data with zoo train."
        case "tie":
            return "Take whichever of them is the smallest, or give more examples to tell them apart."
        case "ranked":
            return "Its lead over the next one is larger than the doubt in both." if len(ranking.ranking) > 1 else ""


def _joined(refs: Sequence[str]) -> str:
    """References as a list that ends in `and`; a long one is cut."""
    if len(refs) > MODULES_NAMED + 1:
        return f"{', '.join(refs[:MODULES_NAMED])} and {len(refs) - MODULES_NAMED} other modules"
    return f"{', '.join(refs[:-1])} and {refs[-1]}" if len(refs) > 1 else f"{refs[0]} and others"
