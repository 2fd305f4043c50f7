"""Every setting of the service, with unit and default, read from ``ZOO_*`` variables."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from registry.errors import Fault, SettingsError
from registry.logs import LogFormat, LogLevel
from registry.wrong_values import told

Bytes = Annotated[int, Field(ge=1)]
Seconds = Annotated[float, Field(gt=0)]
Count = Annotated[int, Field(ge=1)]

MEBIBYTE = 1024 * 1024


def default_home() -> Path:
    """The user's data directory for this program, as the platform has it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "module-zoo"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "module-zoo"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "module-zoo"


class Settings(BaseSettings):
    """All settings; `Settings.load()` reads them from the environment and refuses what cannot work."""

    model_config = SettingsConfigDict(env_prefix="ZOO_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=default_home, description="folder of everything local: database, blobs, cache")
    database: str | None = Field(default=None, description="SQLAlchemy URL; default: SQLite in ZOO_HOME")
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8000, description="port to listen on")
    token: SecretStr | None = Field(
        default=None, description="bearer token for every write; needed when listening beyond loopback"
    )
    url: str | None = Field(default=None, description="address of the zoo, for the command line and workers")
    lease_seconds: Seconds = Field(default=30.0, description="a worker silent for so long loses its job")
    job_attempts: Count = Field(default=3, description="a job whose worker died so often is failed")
    checkpoint_seconds: Seconds = Field(default=30.0, description="time between two checkpoints of a training run")
    wait_seconds: Seconds = Field(default=60.0, description="how long a query waits before 202, without `Prefer`")
    wait_limit_seconds: Seconds = Field(default=600.0, description="longest wait that `Prefer` may ask for")
    module_limit_bytes: Bytes = Field(default=4096 * MEBIBYTE, description="largest module file")
    module_limit_parameters: Count = Field(default=1_000_000_000, description="most parameters of one module")
    dataset_limit_bytes: Bytes = Field(default=1024 * MEBIBYTE, description="largest dataset upload")
    unpacked_limit_bytes: Bytes = Field(default=4096 * MEBIBYTE, description="most bytes an upload may unpack to")
    dataset_limit_examples: Count = Field(default=1_000_000, description="most images in a dataset")
    dataset_limit_classes: Count = Field(default=1000, description="most classes in a dataset")
    image_limit_pixels: Count = Field(default=50_000_000, description="largest single image, height times width")
    features_limit: Count = Field(default=2048, description="widest feature map that is scored")
    examples: Count = Field(default=2000, description="examples a score uses when the query does not say")
    shortlist: Count = Field(default=2000, description="modules a ranking looks at when the query names none")
    halving_from: Count = Field(
        default=48, description="a ranking of more modules goes in rounds, see decision 0016; a high number: never"
    )
    log_format: LogFormat = Field(
        default="auto", description="`json`, `console`, or `auto`: for people at a terminal, JSON elsewhere"
    )
    log_level: LogLevel = Field(default="info", description="`debug`, `info`, `warning` or `error`")
    traces: str | None = Field(
        default=None,
        description="OTLP receiver (HTTP) of traces, as http://127.0.0.1:4318; needs the extra tracing",
    )
    json_limit_bytes: Bytes = Field(default=MEBIBYTE, description="largest JSON body")

    @field_validator("home")
    @classmethod
    def _check_home(cls, home: Path) -> Path:
        if "?" in str(home):
            raise ValueError(f"{home} holds a '?', which a database address cannot; choose another folder")
        return home

    @property
    def database_url(self) -> str:
        """The database to use."""
        return self.database or f"sqlite:///{self.home / 'zoo.sqlite3'}"

    @property
    def beyond_loopback(self) -> bool:
        """Whether others than this machine can reach the service."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @classmethod
    def load(cls) -> Self:
        """Read the environment. Raises SettingsError naming each variable that is wrong."""
        try:
            return cls()
        except ValidationError as error:
            named = [(str(wrong["loc"][0]), wrong) for wrong in error.errors()]
            faults = tuple(Fault(f"/{name}", told(wrong, f"ZOO_{name.upper()}")) for name, wrong in named)
            listed = "; ".join(_with_name(fault) for fault in faults)
            raise SettingsError(f"wrong settings: {listed}", faults=faults) from error

    def check_service(self) -> None:
        """Raises SettingsError when the service would listen beyond loopback without a token."""
        if self.beyond_loopback and self.token is None:
            raise SettingsError(
                f"listening on {self.host} lets others in, so a token is needed; set ZOO_TOKEN, or listen on 127.0.0.1"
            )


def _with_name(fault: Fault) -> str:
    """A fault's sentence, which a setting's own rule may write without the setting's name."""
    name = f"ZOO_{fault.pointer[1:].upper()}"
    return fault.detail if fault.detail.startswith(name) else f"{name}: {fault.detail}"
