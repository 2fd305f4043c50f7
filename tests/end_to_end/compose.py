"""docker-compose.yml as far as it can be followed without an engine: its commands, environments and what they name."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.end_to_end.processes import ROOT, TOKEN

COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SECRETS = {
    "ZOO_TOKEN": TOKEN,
    "POSTGRES_PASSWORD": "0123456789abcdef",
    "ZOO_S3_SECRET_ACCESS_KEY": "fedcba9876543210",
}
VARIABLE = re.compile(r"\$\{([A-Z0-9_]+)(?::([?-])([^}]*))?\}")


class VariableNotSetError(Exception):
    """A variable without which the file refuses to start; says what the file says."""


def interpolated(text: str, given: Mapping[str, str]) -> str:
    """A value of the file with its variables, as the engine puts them in."""

    def value(found: re.Match[str]) -> str:
        name, kind, rest = found.groups()
        if given.get(name):
            return given[name]
        if kind == "?":
            raise VariableNotSetError(rest)
        return rest or ""

    return VARIABLE.sub(value, text)


def environment(service: str, given: Mapping[str, str] = SECRETS) -> dict[str, str]:
    """A service's environment."""
    values = COMPOSE["services"][service]["environment"]
    return {name: interpolated(value, given) for name, value in values.items()}


def placed(environment: Mapping[str, str], *, hosts: Mapping[str, str], home: Path) -> dict[str, str]:
    """An environment with what stands for the other hosts and for the volume."""
    changed = {}
    for name, value in environment.items():
        changed[name] = str(home) if value == "/data" else value
        for host, stand_in in hosts.items():
            changed[name] = changed[name].replace(host, stand_in)
    return changed
