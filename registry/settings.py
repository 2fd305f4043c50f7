"""Every setting of the service, with unit and default, read from ``ZOO_*`` variables."""

import ipaddress
import os
import re
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
Limit = Annotated[int, Field(ge=0, le=1_000_000_000)]

MEBIBYTE = 1024 * 1024
USUAL_REQUESTS, USUAL_QUESTIONS = 6000, 240
"""How many are taken in a minute of one token, where others can reach the service."""

DATABASES = {
    "sqlite": "sqlite",
    "sqlite+pysqlite": "sqlite",
    "postgres": "postgresql+psycopg",
    "postgresql": "postgresql+psycopg",
    "postgresql+psycopg": "postgresql+psycopg",
}
"""How an address of a database may begin, and the driver that is meant: records are tested on these two."""

BUCKET = re.compile(
    r"s3://([a-z0-9][a-z0-9.-]{1,61}[a-z0-9])(?:/((?:(?!\.+/)[A-Za-z0-9._-]+/)*(?!\.+/?$)[A-Za-z0-9._-]+)?/?)?"
)
"""Where blobs are, with a bucket's name as S3 allows it, and keys' beginnings that need no escaping."""

ENDPOINT = re.compile(r"https?://[A-Za-z0-9._\-\[\]:]+/?")


def default_home() -> Path:
    """The user's data directory for this program, as the platform has it."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home() / "AppData" / "Local"))) / "module-zoo"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "module-zoo"
    return Path(os.environ.get("XDG_DATA_HOME", str(Path.home() / ".local" / "share"))) / "module-zoo"


DATABASE_EXAMPLE = "postgresql://user:password@host:5432/zoo"


class Settings(BaseSettings):
    """All settings; `Settings.load()` reads them from the environment and refuses what cannot work."""

    model_config = SettingsConfigDict(env_prefix="ZOO_", frozen=True, extra="ignore")

    home: Path = Field(default_factory=default_home, description="folder of everything local: database, blobs, cache")
    database: str | None = Field(
        default=None,
        repr=False,
        description="`postgresql://user:password@host:port/name` or a `sqlite:///` file; default: SQLite in ZOO_HOME",
    )
    blobs: str | None = Field(
        default=None, description="where bytes are kept: s3://BUCKET/PREFIX; default: a folder in ZOO_HOME"
    )
    s3_endpoint: str | None = Field(default=None, description="address of the S3-compatible store; default: AWS")
    s3_region: str | None = Field(default=None, description="region of the bucket; default: AWS_REGION, else us-east-1")
    s3_access_key_id: str | None = Field(
        default=None, description="access key of the store; default: AWS_ACCESS_KEY_ID, or the role of the machine"
    )
    s3_secret_access_key: SecretStr | None = Field(
        default=None, description="its secret; default: AWS_SECRET_ACCESS_KEY, or the role of the machine"
    )
    s3_redirect: bool = Field(
        default=False, description="send readers to the store with signed links, in place of the bytes (decision 0022)"
    )
    s3_public_endpoint: str | None = Field(
        default=None, description="address that signed links name, where readers reach the store under another one"
    )
    host: str = Field(default="127.0.0.1", description="address to listen on")
    port: Annotated[int, Field(ge=0, le=65535)] = Field(default=8000, description="port to listen on")
    token: SecretStr | None = Field(default=None, description="the operator's bearer token, which may do everything")
    public_reads: bool = Field(default=True, description="modules that are not private may be read without a token")
    rate_limit: Limit | None = Field(
        default=None,
        description="requests a minute of one token, or address without; default: 6000, on loopback none; 0: none",
    )
    question_limit: Limit | None = Field(
        default=None,
        description="the same for questions, predictions, datasets and training; default: 240, on loopback none",
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
    upload_expires_seconds: Seconds = Field(
        default=86_400.0, description="a resumable upload that got no bytes for so long is removed"
    )
    upload_lease_seconds: Seconds = Field(
        default=30.0, description="an upload whose connection is silent for so long may go on through another"
    )
    upload_piece_bytes: Bytes = Field(
        default=64 * MEBIBYTE, description="bytes of a resumable upload that are made durable together"
    )
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
    webhook_private: bool = Field(
        default=False, description="whether webhooks may send to addresses of private networks, this machine included"
    )
    gc_seconds: Seconds = Field(default=3600.0, description="time between two looks for bytes that nothing refers to")
    gc_grace_seconds: Seconds = Field(
        default=86_400.0, description="bytes that nothing refers to are deleted when that has been so for this long"
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

    @field_validator("database")
    @classmethod
    def _check_database(cls, database: str | None) -> str | None:
        """The address with its driver. Its refusal shows only how it begins, for the rest may be a password."""
        scheme, found, rest = (database or "").partition("://")
        if not scheme:
            return None
        if not found:
            raise ValueError(f"ZOO_DATABASE is no address such as {DATABASE_EXAMPLE}; correct it, or leave it out")
        if scheme not in DATABASES:
            raise ValueError(
                f"ZOO_DATABASE begins with {scheme[:20]!r}, but records are kept in PostgreSQL or SQLite only; "
                f"write it as {DATABASE_EXAMPLE} or sqlite:////folder/zoo.sqlite3"
            )
        return f"{DATABASES[scheme]}://{rest}"

    @field_validator("blobs")
    @classmethod
    def _check_blobs(cls, blobs: str | None) -> str | None:
        if blobs is not None and BUCKET.fullmatch(blobs) is None:
            raise ValueError(f"{blobs[:200]!r} is not s3://BUCKET or s3://BUCKET/PREFIX; leave it out for a folder")
        return blobs

    @field_validator("s3_endpoint", "s3_public_endpoint")
    @classmethod
    def _check_endpoint(cls, endpoint: str | None) -> str | None:
        if endpoint is not None and ENDPOINT.fullmatch(endpoint) is None:
            raise ValueError(f"{endpoint[:200]!r} is not an address; write https://HOST or http://HOST:PORT")
        return endpoint

    @property
    def database_url(self) -> str:
        """The database to use."""
        return self.database or f"sqlite:///{self.home / 'zoo.sqlite3'}"

    @property
    def upload_limit_bytes(self) -> int:
        """The largest file of any kind."""
        return max(self.module_limit_bytes, self.dataset_limit_bytes)

    @property
    def beyond_loopback(self) -> bool:
        """Whether others than this machine can reach the service."""
        if self.host == "localhost":
            return False
        try:
            return not ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return True

    @property
    def is_open(self) -> bool:
        """Whether this machine needs no token: nobody else can reach the service, and none was set."""
        return self.token is None and not self.beyond_loopback

    @property
    def requests_a_minute(self) -> int:
        """How many requests are taken; 0 where they are not counted."""
        usual = USUAL_REQUESTS if self.beyond_loopback else 0
        return usual if self.rate_limit is None else self.rate_limit

    @property
    def questions_a_minute(self) -> int:
        """How many questions are taken; 0 where they are not counted."""
        usual = USUAL_QUESTIONS if self.beyond_loopback else 0
        return usual if self.question_limit is None else self.question_limit

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

    def check_service(self, *, has_admin: bool = False) -> None:
        """Raises SettingsError when the service would listen beyond loopback, and nobody could manage it.

        Args:
            has_admin: whether there is a token of the role admin already.
        """
        if self.beyond_loopback and self.token is None and not has_admin:
            raise SettingsError(
                f"listening on {self.host} lets others in, so a token is needed; set ZOO_TOKEN, or listen on "
                "127.0.0.1 and make one with `zoo token create --role admin`"
            )


def _with_name(fault: Fault) -> str:
    """A fault's sentence, which a setting's own rule may write without the setting's name."""
    name = f"ZOO_{fault.pointer[1:].upper()}"
    return fault.detail if fault.detail.startswith(name) else f"{name}: {fault.detail}"
