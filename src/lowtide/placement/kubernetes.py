"""Shares as a Gateway API HTTPRoute (gateway.networking.k8s.io/v1)."""

from collections.abc import Mapping
from typing import Any

import yaml

from lowtide.errors import ParamsError
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Kubernetes, Sites
from lowtide.placement.weights import whole_weights

MOST = 16  # rules of a route, and backends of a rule, that the API takes


def http_route(plan: Plan, found: Sites) -> str:
    """A rule for each group, matched by header, and one for requests that name no group; of more
    than 16 rules several routes, which the gateway takes as one.

    Raises:
        ParamsError: the sites file has no section `kubernetes`, a site no service, or a group is
            served by more sites than a rule takes.
    """
    names = found.kubernetes
    if names is None:
        raise ParamsError("the sites file has no section kubernetes: add name, namespace, gateway")
    rules = [
        {"matches": [_match(names, group)], "backendRefs": _backends(shares, found, group)}
        for group, shares in plan.shares.items()
    ]
    rules.append({"backendRefs": _backends(plan.site_shares, found, "all requests")})
    parts = [rules[start : start + MOST] for start in range(0, len(rules), MOST)]
    routes = [_route(names, number, part) for number, part in enumerate(parts, start=1)]
    return yaml.safe_dump_all(routes, sort_keys=False)


def _route(names: Kubernetes, number: int, rules: list[dict[str, Any]]) -> dict[str, Any]:
    spec: dict[str, Any] = {"parentRefs": [{"name": names.gateway}]}
    if names.hostnames:
        spec["hostnames"] = list(names.hostnames)
    name = names.name if number == 1 else f"{names.name}-{number}"
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": names.namespace},
        "spec": {**spec, "rules": rules},
    }


def _match(names: Kubernetes, group: str) -> dict[str, Any]:
    return {"headers": [{"type": "Exact", "name": names.group_header, "value": group}]}


def _backends(shares: Mapping[str, float], found: Sites, whose: str) -> list[dict[str, Any]]:
    weights = whole_weights([shares.get(site, 0.0) for site in found.sites])
    backends = []
    for (name, site), weight in zip(found.sites.items(), weights, strict=True):
        if site.service is None:
            raise ParamsError(f"sites.{name} has no service for Kubernetes: add name and port")
        if weight > 0:
            one = {"name": site.service.name, "port": site.service.port, "weight": weight}
            backends.append(one)
    if len(backends) > MOST:
        raise ParamsError(
            f"{whose}: {len(backends)} sites serve, a rule of an HTTPRoute takes {MOST}: raise "
            "availability.share_min"
        )
    return backends
