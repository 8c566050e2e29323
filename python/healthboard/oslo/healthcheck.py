"""The backend `healthboard` of oslo.middleware's `/healthcheck`."""

from __future__ import annotations

from oslo_middleware.healthcheck.pluginbase import HealthcheckBaseExtension, HealthcheckResult

from ..verdict import verdict


class Healthboard(HealthcheckBaseExtension):
    """Available while requests can be sent to the service, by the same rules as the endpoint."""

    def healthcheck(self, server_port: int) -> HealthcheckResult:
        """Return the verdict. The reason begins with `healthboard: `."""
        found = verdict()
        return HealthcheckResult(found.available, found.reason, found.details)
