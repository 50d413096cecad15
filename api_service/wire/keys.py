"""API keys on the wire."""

import re
from datetime import datetime, timedelta
from typing import Annotated

import msgspec
from msgspec.structs import asdict
from pydantic import BeforeValidator, Field

from api_service.auth.rights import SCOPES, Scope
from shared.core.entities import ApiKey
from shared.spec import values as v
from shared.spec.faults import fault
from shared.spec.names import did_you_mean, quote
from shared.spec.objects import SpecObject

_CONTROL = re.compile("[\\x00-\\x1f\\x7f]")
_JOB_ID = re.compile("job_[0-9a-z]{26}")
_THERE_ARE = f"; there are {', '.join(SCOPES)}"


def _scope(value: object) -> object:
    if isinstance(value, str) and value not in SCOPES:
        raise fault(f"{quote(value)} is no scope{did_you_mean(value, SCOPES) or _THERE_ARE}")
    return value


def _printable(name: str) -> str:
    if _CONTROL.search(name):
        raise ValueError("a name has no control characters")
    return name


def _job_id(text: str) -> str:
    if not _JOB_ID.fullmatch(text):
        raise ValueError(f"{quote(text)} is no id of a job, such as job_01j9zk3f5w8x2c4v6b7n8m9q0r")
    return text


class KeyRequest(SpecObject):
    """A key to be made. `expires` is a duration, and `job` the only job that the key opens."""

    name: Annotated[str, Field(max_length=255), v.checked(_printable)] = ""
    scopes: Annotated[tuple[Annotated[Scope, BeforeValidator(_scope)], ...], v.NOT_EMPTY]
    expires: v.Duration | None = None
    job: Annotated[str, v.checked(_job_id)] | None = None

    @property
    def lifetime(self) -> timedelta | None:
        return None if self.expires is None else v.parse_duration(self.expires)


class KeyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`parent` is the key that made it. `revoked_at` may be the time at which a parent was revoked."""

    id: str
    name: str
    scopes: tuple[str, ...]
    job: str | None
    parent: str | None
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None


class MadeKeyDocument(KeyDocument, frozen=True, kw_only=True):
    """`key` is its text, which is shown this once."""

    key: str


def key_document(key: ApiKey) -> KeyDocument:
    return KeyDocument(**{name: getattr(key, name) for name in KeyDocument.__struct_fields__})


def made_key_document(key: ApiKey, text: str) -> MadeKeyDocument:
    return MadeKeyDocument(**asdict(key_document(key)), key=text)
