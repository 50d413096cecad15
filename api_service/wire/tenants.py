"""The document of a tenant."""

from collections.abc import Mapping

import msgspec


class LimitDocument(msgspec.Struct, frozen=True, kw_only=True):
    """`limit` is null where there is none. `used` is null for requests: each gateway counts its own."""

    limit: int | None
    used: int | None


class TenantDocument(msgspec.Struct, frozen=True, kw_only=True):
    tenant: str
    limits: dict[str, LimitDocument]


def tenant_document(tenant: str, limits: Mapping[str, tuple[int | None, int | None]]) -> TenantDocument:
    return TenantDocument(
        tenant=tenant,
        limits={name: LimitDocument(limit=limit, used=used) for name, (limit, used) in limits.items()},
    )
