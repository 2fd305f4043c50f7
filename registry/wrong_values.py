"""What a model refuses, as a sentence: the field, what it must be, and the value seen, shortened and never a secret."""

import json
import re

from pydantic_core import ErrorDetails

from registry.names import WORD_PATTERN

SHOWN_CHARACTERS = 100
SECRET = re.compile(r"token|secret|password|authorization|database", re.IGNORECASE)
"""Fields whose value is not repeated; a database's address may hold a password."""

_FIELD = re.compile(r"^(?:Input|String|Value|Data|Tuple|List|Dictionary|Set|URL|Bytes) should ")
_KINDS = {
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a whole number of fewer digits",
    "int_from_float": "must be a whole number",
    "int_type": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "tuple_type": "must be a list",
    "list_type": "must be a list",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "dict_type": "must be an object",
    "missing": "is missing",
    "extra_forbidden": "is not known here",
}
_PATTERNS = {
    f"^{WORD_PATTERN}$": (
        "must be 1 to 64 lower-case letters, digits, '-', '_' or '.', starting with a letter or digit"
    ),
}


def told(wrong: ErrorDetails, name: str) -> str:
    """One thing that a model refuses, such as ``limit must be greater than or equal to 1, got 0``.

    Args:
        wrong: what pydantic says of it.
        name: what the field is called where the value came from; its value is left out where it may be a secret.
    """
    kind, context = wrong["type"], wrong.get("ctx", {})
    if kind == "json_invalid":
        return f"{name} is not JSON: {context.get('error') or wrong['msg']}"
    if kind in ("value_error", "assertion_error") and context.get("error") is not None:
        return str(context["error"])
    if kind == "missing" and isinstance(wrong["input"], list | tuple) and isinstance(wrong["loc"][-1], int):
        return f"{name} has no item {wrong['loc'][-1] + 1}, it is {shown(wrong['input'])}; give all items"
    sentence = f"{name} {_demand(wrong)}"
    if kind in ("missing", "extra_forbidden") or SECRET.search(name):
        return sentence
    return f"{sentence}, got {shown(wrong['input'])}"


def shown(value: object) -> str:
    """A value as a sentence repeats it: at most 100 characters; of what holds others, only how many."""
    if isinstance(value, dict):
        return f"an object of {len(value)} keys"
    if isinstance(value, list | tuple | set | frozenset):
        return f"a list of {len(value)}"
    if isinstance(value, str | bytes):
        text = repr(value[: SHOWN_CHARACTERS + 1])
    elif isinstance(value, bool | None):
        text = json.dumps(value)
    else:
        text = str(value) if isinstance(value, int | float) else f"a {type(value).__name__}"
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"


def _demand(wrong: ErrorDetails) -> str:
    """What a value must be, in words that follow the name of the field."""
    kind, message = wrong["type"], wrong["msg"]
    if kind in _KINDS:
        return _KINDS[kind]
    pattern = str(wrong.get("ctx", {}).get("pattern", ""))
    if kind == "string_pattern_mismatch" and pattern in _PATTERNS:
        return _PATTERNS[pattern]
    demand, found = _FIELD.subn("must ", message)
    return demand.partition(" after validation")[0] if found else f"is wrong: {message}"
