"""A plan as nginx upstreams, and the plan back from such a file.

The file has an upstream `lowtide-GROUP` for each group, `lowtide` for requests of no known group,
and a variable by which nginx tells what it runs with.
"""

import re
from collections.abc import Mapping, Set
from hashlib import sha256

from lowtide.errors import NginxError, ParamsError
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Sites
from lowtide.placement.weights import WHOLE, whole_weights

UPSTREAM = "lowtide"
HEAD = "# Written by `lowtide place`; what is changed here by hand is lost.\n"
RETRY = "max_fails=1 fail_timeout=10s"
ZONE = "64k"
KEEP = "    keepalive 16;"
_BLOCK = re.compile(rf"upstream {UPSTREAM}(?:-(\S+))? {{\n(.*?)\n}}", re.DOTALL)
_SERVER = re.compile(r"server (\S+) weight=(\d+)")
_BACKUP = re.compile(r"server (\S+) backup")
_PLAN = re.compile(r"\$lowtide_plan {\s*default ([0-9a-f]+);")


def upstreams(plan: Plan, found: Sites) -> str:
    """Weights add up to 1000. For each group open sites without a weight, and those whose share is
    too small for one, are backups; sites that are closed or out of its reach are down.

    Raises:
        ParamsError: a site has no address.
    """
    addresses = _addresses(found)
    blocks = [
        _block(f"{UPSTREAM}-{group}", shares, plan.backups[group], addresses)
        for group, shares in plan.shares.items()
    ]
    blocks.append(_block(UPSTREAM, plan.site_shares, plan.open_sites, addresses))
    text = "\n".join(blocks)
    digest = sha256(text.encode()).hexdigest()[:16]
    return f"{HEAD}map $server_port $lowtide_plan {{\n    default {digest};\n}}\n\n{text}"


def read_plan(text: str, found: Sites) -> Plan:
    """The plan of a text of `upstreams`; an address that is no site's stands for itself.

    Raises:
        NginxError: it is no such text.
    """
    names = {address: name for name, address in _addresses(found).items()}
    blocks = dict(_BLOCK.findall(text))
    if "" not in blocks or plan_digest(text) is None:
        raise NginxError("holds no upstreams that lowtide has written: remove it, or name another")
    shares = {
        group: {names.get(one, one): int(weight) / WHOLE for one, weight in _SERVER.findall(body)}
        for group, body in blocks.items()
    }
    backups = {
        group: frozenset(names.get(one, one) for one in _BACKUP.findall(body))
        for group, body in blocks.items()
    }
    whole = shares.pop("")
    return Plan(shares, backups, whole, frozenset(whole) | backups.pop(""))


def plan_digest(text: str) -> str | None:
    """What nginx answers at `plan_url` once it runs with this text; None in a foreign file."""
    match = _PLAN.search(text)
    return match and match[1]


def _block(
    name: str, shares: Mapping[str, float], backups: Set[str], addresses: Mapping[str, str]
) -> str:
    """The zone is shared memory: all workers of nginx count requests and failures together."""
    weights = whole_weights([shares.get(site, 0.0) for site in addresses])
    standing_by = backups | {site for site, share in shares.items() if share > 0}
    servers = [
        f"    server {address} {_part(weight, site in standing_by)};"
        for (site, address), weight in zip(addresses.items(), weights, strict=True)
    ]
    return "\n".join([f"upstream {name} {{", f"    zone {name} {ZONE};", *servers, KEEP, "}\n"])


def _part(weight: int, backup: bool) -> str:
    if weight:
        return f"weight={weight} {RETRY}"
    return f"backup {RETRY}" if backup else "down"


def _addresses(found: Sites) -> dict[str, str]:
    addresses: dict[str, str] = {}
    for name, site in found.sites.items():
        if site.address is None:
            raise ParamsError(f"sites.{name} has no address for nginx: add one, like 10.0.0.1:8000")
        addresses[name] = site.address
    return addresses
