"""Manifests as JSON text: read strictly, every fault told by its place; written the same way every time."""

from pydantic import ValidationError

from registry.errors import Fault, InvalidManifestError
from registry.fault_list import FaultList, escaped
from registry.manifest import ModuleManifest
from registry.tensor_file import strict_json

POINTER = "/module"
"""Where a manifest stands in a file's header, as a JSON pointer; faults begin with it."""


def parse_manifest(text: str) -> ModuleManifest:
    """Read a manifest from its JSON text. Raises InvalidManifestError with a fault for each wrong place."""
    try:
        content = strict_json(text)
    except ValueError as error:
        detail = f"the manifest is not acceptable JSON: {error}"
        raise InvalidManifestError(detail, faults=[Fault(POINTER, detail, "invalid_manifest")]) from error
    try:
        return ModuleManifest.model_validate_json(text)
    except ValidationError as error:
        faults = FaultList("invalid_manifest")
        for wrong in error.errors(include_url=False, include_context=False, include_input=False):
            place = POINTER + "".join(f"/{escaped(part)}" for part in _place(content, wrong["loc"]))
            faults.add(place, f"{place}: {wrong['msg']}")
        raise InvalidManifestError(f"the manifest is wrong: {faults.told()}", faults=faults.faults()) from error


def _place(content: object, location: tuple[str | int, ...]) -> tuple[str | int, ...]:
    """The steps of a validator's location that exist in the JSON; it also names the kinds it tried in between."""
    if not location:
        return ()
    head, rest = location[0], location[1:]
    without = _place(content, rest)
    within: tuple[str | int, ...] = ()
    if isinstance(content, dict):
        within = (head, *_place(content[head], rest)) if head in content else (() if rest else (head,))
    elif isinstance(content, list) and isinstance(head, int) and head < len(content):
        within = (head, *_place(content[head], rest))
    return within if len(within) >= len(without) else without


def manifest_text(manifest: ModuleManifest) -> str:
    """The manifest as it stands in files; what publishing added to it is left out."""
    return manifest.model_dump_json(include=set(ModuleManifest.model_fields))
