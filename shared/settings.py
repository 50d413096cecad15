"""The settings: environment variables with the prefix GRISTMILL_ (docs/settings.md lists them)."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    AliasChoices,
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    SecretStr,
    ValidationError,
)
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from shared.addresses import Network, network, origin, public_url, redis_url
from shared.spec.uris import file_path


def _comma_separated(value: object) -> object:
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _folder(value: object) -> object:
    """A URL, in which a comma can be written %2C."""
    return file_path(value) if isinstance(value, str) else value


CommaSeparated = Annotated[list[str], NoDecode, BeforeValidator(_comma_separated)]
Origins = Annotated[list[Annotated[str, AfterValidator(origin)]], NoDecode, BeforeValidator(_comma_separated)]
Networks = Annotated[
    list[Annotated[Network, BeforeValidator(network)]], NoDecode, BeforeValidator(_comma_separated)
]
PublicUrl = Annotated[str, AfterValidator(public_url)]
Folder = Annotated[Path, BeforeValidator(_folder)]
Folders = Annotated[list[Folder], NoDecode, BeforeValidator(_comma_separated)]


class DatabaseSettings(BaseSettings):
    """The settings of a command that only speaks to Postgres, and the secrets that every log must hide."""

    model_config = SettingsConfigDict(
        env_prefix="GRISTMILL_", populate_by_name=True, extra="ignore", hide_input_in_errors=True
    )

    database_url: Annotated[
        str,
        Field(
            validation_alias=AliasChoices("GRISTMILL_DATABASE_URL", "DATABASE_URL"),
            description="Postgres 15 or newer, as a postgresql:// URL",
        ),
    ]
    api_key: Annotated[
        SecretStr | None,
        Field(
            min_length=32,
            description="An API key of the tenant default, beside `keys add`; at least 32 characters",
        ),
    ] = None
    log_format: Annotated[
        Literal["json", "console"], Field(description="Format of the log lines on standard error")
    ] = "json"
    log_level: Annotated[
        Literal["debug", "info", "warning", "error"], Field(description="Least severe level that is logged")
    ] = "info"


class TenantSettings(DatabaseSettings):
    """With the limits of each tenant that has none of its own."""

    tenant_queued_jobs: Annotated[
        NonNegativeInt | None,
        Field(description="Limit of each tenant: jobs that have not begun; default: none"),
    ] = None
    tenant_running_jobs: Annotated[
        PositiveInt | None,
        Field(description="Limit of each tenant: jobs under way, others wait; default: none"),
    ] = None
    tenant_scan_bytes_per_day: Annotated[
        NonNegativeInt | None,
        Field(description="Limit of each tenant: bytes of files that its jobs read a day; default: none"),
    ] = None
    tenant_stored_bytes: Annotated[
        NonNegativeInt | None,
        Field(description="Limit of each tenant: bytes of its states and results in Postgres; default: none"),
    ] = None
    tenant_uploads: Annotated[
        NonNegativeInt | None, Field(description="Limit of each tenant: uploads that are kept; default: none")
    ] = None
    tenant_upload_bytes: Annotated[
        NonNegativeInt | None,
        Field(description="Limit of each tenant: bytes of the uploads that are kept; default: none"),
    ] = None
    tenant_requests_per_second: Annotated[
        PositiveInt | None,
        Field(description="Limit of each tenant: requests a second to each gateway; default: none"),
    ] = None


class Settings(TenantSettings):
    redis_url: Annotated[
        str,
        AfterValidator(redis_url),
        Field(
            validation_alias=AliasChoices("GRISTMILL_REDIS_URL", "REDIS_URL"),
            description="Redis 6.2 or newer, or Valkey, as a redis:// URL",
        ),
    ]
    storage: Annotated[
        Path, Field(description="Folder for uploads, shared by the gateway and the workers")
    ] = Path(".gristmill/storage")
    sources: Annotated[
        CommaSeparated,
        Field(
            description="URL prefixes that source.uris may lie under, comma-separated; {tenant} is filled in"
        ),
    ] = []
    allow_hidden_sources: Annotated[
        bool,
        Field(description="Whether a path below an allowed source may have names that begin with a dot"),
    ] = False
    protected_folders: Annotated[
        Folders,
        Field(
            description="URLs of folders that no source may lead into, beside the uploads; comma-separated"
        ),
    ] = []
    max_listed_names: Annotated[
        PositiveInt,
        Field(description="Maximum number of names that the patterns of one job are compared with"),
    ] = 1_000_000
    host: Annotated[
        str, Field(description="Address that the gateway binds; only loopback, unless there are API keys")
    ] = "127.0.0.1"
    port: Annotated[
        int, Field(ge=0, le=65535, description="Port that the gateway binds; 0 picks a free one")
    ] = 8080
    metrics_host: Annotated[str, Field(description="Address that /metrics binds; it has no password")] = (
        "127.0.0.1"
    )
    metrics_port: Annotated[
        int | None,
        Field(
            ge=0,
            le=65535,
            description="Port of /metrics of a gateway or worker; 0 picks a free one; default: none",
        ),
    ] = None
    public_url: Annotated[
        PublicUrl | None,
        Field(description="URL under which clients reach the gateway; without it links are paths"),
    ] = None
    cors_origins: Annotated[
        Origins,
        Field(description="Origins whose pages may use the gateway from a browser, comma-separated"),
    ] = []
    trusted_proxies: Annotated[
        Networks,
        Field(
            description="Addresses and networks of proxies whose X-Forwarded headers count; comma-separated"
        ),
    ] = []
    slots: Annotated[
        PositiveInt, Field(description="Child processes of one worker; default: the number of cores")
    ] = os.cpu_count() or 1
    slot_memory_bytes: Annotated[
        PositiveInt, Field(description="Memory limit of one child process (its data segment)")
    ] = 2 * 1024**3
    chunk_bytes: Annotated[
        PositiveInt | None,
        Field(
            description="Target size of a chunk, unless the spec has options.chunk_bytes; "
            "default: a 16th of the data, between 64 and 256 MiB, and less for the last ones"
        ),
    ] = None
    batch_bytes: Annotated[PositiveInt, Field(description="Bytes that a child process reads at a time")] = (
        8 * 1024**2
    )
    native: Annotated[
        Literal["auto", "off", "require"],
        Field(description="The native library of a worker: used where it is there, never, or a must"),
    ] = "auto"
    min_chunk_bytes: Annotated[PositiveInt, Field(description="Smallest options.chunk_bytes accepted")] = (
        64 * 1024
    )
    max_groups: Annotated[PositiveInt, Field(description="Largest limits.max_groups accepted")] = 100_000_000
    max_bytes: Annotated[
        PositiveInt,
        Field(description="Largest limits.max_bytes accepted, and the limit of a job whose spec has none"),
    ] = 16 * 1024**4
    max_expansion: Annotated[
        PositiveInt,
        Field(description="Most bytes of data for each byte of a compressed file that holds over 256 MiB"),
    ] = 1000
    max_chunks: Annotated[PositiveInt, Field(description="Largest limits.max_chunks accepted")] = 100_000
    max_state_bytes: Annotated[PositiveInt, Field(description="Largest limits.max_state_bytes accepted")] = (
        64 * 1024**3
    )
    max_bad_rows: Annotated[
        PositiveInt, Field(description="Largest options.max_bad_rows accepted for quarantine")
    ] = 100_000
    max_spec_bytes: Annotated[PositiveInt, Field(description="Largest job spec accepted")] = 1024**2
    max_upload_bytes: Annotated[PositiveInt, Field(description="Largest upload accepted")] = 1024**4
    min_upload_bytes_per_second: Annotated[
        NonNegativeInt, Field(description="An upload that is slower than this for half a minute is ended")
    ] = 1024
    max_upload_seconds: Annotated[PositiveInt, Field(description="Maximum time of an upload, in seconds")] = (
        24 * 3600
    )
    max_unfinished_uploads: Annotated[
        PositiveInt, Field(description="Maximum number of unfinished resumable uploads of one tenant")
    ] = 100
    max_connections_per_address: Annotated[
        PositiveInt | None,
        Field(description="Maximum number of connections from one address; default: three quarters of all"),
    ] = None
    time_scale: Annotated[
        float, Field(gt=0, description="Multiplies every period of the protocol; tests use 0.1")
    ] = 1.0


AGREED = (
    "sources",
    "allow_hidden_sources",
    "protected_folders",
    "max_listed_names",
    "max_bytes",
    "max_expansion",
    "tenant_running_jobs",
    "tenant_scan_bytes_per_day",
    "tenant_stored_bytes",
    "time_scale",
)
"""Settings that each worker needs as all others and the gateways have them.

Else the end of a job depends on the worker that it meets. None of them is secret. The storage folder may have
another path on each machine. Sources have one path on all, and so have the protected folders below them.
"""


def agreed(settings: Settings) -> dict[str, Any]:
    """The values of AGREED, in JSON."""
    found = settings.model_dump(mode="json", include={*AGREED})
    return {name: sorted(value) if isinstance(value, list) else value for name, value in found.items()}


def differing(ours: Settings, theirs: Mapping[str, Any] | None) -> list[str]:
    """The variables of which a worker that has told *theirs* has another value.

    It may be of another version, which knows fewer settings.
    """
    told = theirs or {}
    unlike = [name for name, value in agreed(ours).items() if name in told and told[name] != value]
    return [f"GRISTMILL_{name.upper()}" for name in unlike]


def faults(error: ValidationError) -> list[tuple[str, str]]:
    """Each wrong or missing variable with its fault."""
    found = [(str(fault["loc"][0]).upper(), fault["msg"]) for fault in error.errors()]
    return [(f"GRISTMILL_{name.removeprefix('GRISTMILL_')}", fault) for name, fault in found]


def wrong(error: ValidationError) -> str:
    """The faults on one line."""
    return "; ".join(f"{name}: {fault}" for name, fault in faults(error))
