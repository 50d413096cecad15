"""The tenant of the key that a request has."""

from api_service.handlers import tenants
from api_service.operations import Operation
from api_service.wire.tenants import TenantDocument

OPERATIONS = (
    Operation(
        method="GET",
        path="/v1/tenant",
        handler=tenants.read,
        summary="Read the limits of this key's tenant, and what it uses of them",
        scope="read",
        answers={200: TenantDocument},
    ),
)
