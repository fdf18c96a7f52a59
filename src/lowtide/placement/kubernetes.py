"""Shares as a Gateway API HTTPRoute (gateway.networking.k8s.io/v1)."""

from collections.abc import Mapping
from typing import Any

import yaml

from lowtide.errors import ParamsError
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Kubernetes, Sites
from lowtide.placement.weights import whole_weights


def http_route(plan: Plan, found: Sites) -> str:
    """A rule for each group, matched by header, and one for requests that name no group.

    Raises:
        ParamsError: the sites file has no section `kubernetes`, or a site no service.
    """
    names = found.kubernetes
    if names is None:
        raise ParamsError("the sites file has no section kubernetes: add name, namespace, gateway")
    rules = [
        {"matches": [_match(names, group)], "backendRefs": _backends(shares, found)}
        for group, shares in plan.shares.items()
    ]
    rules.append({"backendRefs": _backends(plan.site_shares, found)})
    spec: dict[str, Any] = {"parentRefs": [{"name": names.gateway}]}
    if names.hostnames:
        spec["hostnames"] = list(names.hostnames)
    route = {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": names.name, "namespace": names.namespace},
        "spec": {**spec, "rules": rules},
    }
    return yaml.safe_dump(route, sort_keys=False)


def _match(names: Kubernetes, group: str) -> dict[str, Any]:
    return {"headers": [{"type": "Exact", "name": names.group_header, "value": group}]}


def _backends(shares: Mapping[str, float], found: Sites) -> list[dict[str, Any]]:
    """With weight 0 a backend takes nothing, as the standard has it."""
    weights = whole_weights([shares.get(site, 0.0) for site in found.sites])
    backends = []
    for (name, site), weight in zip(found.sites.items(), weights, strict=True):
        if site.service is None:
            raise ParamsError(f"sites.{name} has no service for Kubernetes: add name and port")
        backends.append({"name": site.service.name, "port": site.service.port, "weight": weight})
    return backends
