"""The sites file: where a model can be served, for whom, and what may be changed how fast."""

from math import ceil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, HttpUrl

from lowtide.errors import ParamsError
from lowtide.params import NonNegative, Positive, Section, Share, load_checked
from lowtide.placement.demand import HourlyRate

# A DNS label: it becomes the name of an nginx upstream and of a rule in Kubernetes.
Name = Annotated[str, Field(pattern=r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$")]
# HOST:PORT; nothing that nginx could read as a further directive.
Address = Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\]):[0-9]{1,5}$")]
Label = Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$")]


class Group(Section):
    """Users who are alike: near each other, and as patient."""

    demand_per_s: HourlyRate
    latency_ms_p95_max: Positive


class Route(Section):
    """From one group to one site, for one request: what the user waits, what the network takes."""

    latency_ms_p95: NonNegative
    network_energy_j: NonNegative


class Embodied(Section):
    """Carbon of making the hardware: an open site's per hour, of which `share` is the model's, and
    what is counted by inference."""

    g_per_hour: NonNegative
    share: Share
    g_per_inference: NonNegative


class Service(Section):
    """A Kubernetes Service that stands for the site."""

    name: Name
    port: Annotated[int, Field(ge=1, le=65535)]


class Site(Section):
    zone: Annotated[str, Field(min_length=1)]
    pue: Annotated[float, Field(ge=1, allow_inf_nan=False)]
    inference_energy_j: NonNegative  # of the model on the site's hardware, before PUE
    capacity_per_s: Positive  # requests that it serves within its latency
    idle_power_w: NonNegative  # of what an open site keeps on whatever it serves, before PUE
    embodied: Embodied
    users: Annotated[dict[Name, Route], Field(min_length=1)]  # by group; others cannot reach it
    address: Address | None = None  # for nginx
    service: Service | None = None  # for Kubernetes
    trace: Path | None = None  # of its zone, for replays; relative to the sites file
    trace_weeks_older: Annotated[int, Field(ge=0)] = 0  # than the time it stands for
    constant_g_per_kwh: Annotated[float, Field(ge=0, le=3000)] | None = None  # when all else fails


class Availability(Section):
    share_max: Annotated[float, Field(gt=0, le=1)]  # of all requests, at any one site
    share_min: Annotated[float, Field(ge=0, lt=1)]  # of all requests, at a site that is open
    survive_one_loss: bool  # the open sites can carry all demand when any one of them is lost


class Hysteresis(Section):
    """Against traffic that flaps; `step_max` is of a group's requests at any one site."""

    saving_min: Annotated[float, Field(ge=0, lt=1)]
    step_max: Annotated[float, Field(gt=0, le=1)]


class Nginx(Section):
    main: Path  # the configuration that nginx runs with; includes `upstreams` by that very path
    upstreams: Path  # the file that lowtide writes
    plan_url: HttpUrl  # where nginx answers with $lowtide_plan: what it runs with
    program: str = "nginx"


class Kubernetes(Section):
    """Of the HTTPRoute and the Gateway it hangs on."""

    name: Name
    namespace: Name
    gateway: Name
    hostnames: tuple[Label, ...]
    group_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9-]+$")]  # by which a request says it


class Sites(Section):
    groups: Annotated[dict[Name, Group], Field(min_length=1)]
    sites: Annotated[dict[Name, Site], Field(min_length=1)]
    availability: Availability
    hysteresis: Hysteresis
    without_intensity: Literal["refuse", "exclude"]  # a site whose intensity is not known
    nginx: Nginx | None = None
    kubernetes: Kubernetes | None = None

    def without(self, names: set[str]) -> "Sites":
        kept = {name: site for name, site in self.sites.items() if name not in names}
        return self.model_copy(update={"sites": kept})


def load_sites(path: Path) -> Sites:
    """Read and check a sites file; paths in it are relative to it.

    Raises:
        ParamsError: as `load_params`; or a route to a group that is not there, a group that no
            site serves in time, or shares that cannot add up.
    """
    found = _located(load_checked(path, Sites), path.parent)
    refuse_senseless(found, path)
    return found


def refuse_senseless(found: Sites, path: Path) -> None:
    for name, site in found.sites.items():
        for user in sorted(site.users.keys() - found.groups.keys()):
            raise ParamsError(
                f"{path}: sites.{name}.users.{user}: there is no group {user}; there are "
                f"{', '.join(found.groups)}"
            )
    for name, group in found.groups.items():
        _require_a_site(found, name, group.latency_ms_p95_max, path)
    _require_own_addresses(found, path)
    rules, num = found.availability, len(found.sites)
    if rules.share_max * num < 1:
        raise ParamsError(
            f"{path}: availability.share_max {rules.share_max:g} for {num} sites leaves requests "
            f"unplaced: raise it to {ceil(100 / num) / 100:.2f} or more, or add sites"
        )
    if found.hysteresis.step_max < rules.share_min:
        raise ParamsError(
            f"{path}: hysteresis.step_max {found.hysteresis.step_max:g} is below "
            f"availability.share_min {rules.share_min:g}, so that no site could open: raise it"
        )
    if rules.survive_one_loss and num < 2:
        raise ParamsError(
            f"{path}: availability.survive_one_loss needs two sites and there is {num}: add one, "
            "or set it to false"
        )


def _require_a_site(found: Sites, group: str, limit_ms: float, path: Path) -> None:
    waits = {
        name: site.users[group].latency_ms_p95
        for name, site in found.sites.items()
        if group in site.users
    }
    if not waits:
        raise ParamsError(f"{path}: groups.{group}: no site has it among its users: add a route")
    nearest = min(waits, key=lambda name: waits[name])
    if waits[nearest] > limit_ms:
        raise ParamsError(
            f"{path}: groups.{group}.latency_ms_p95_max: no site answers within {limit_ms:g} ms, "
            f"the nearest, {nearest}, takes {waits[nearest]:g}: raise the limit or add a site"
        )


def _require_own_addresses(found: Sites, path: Path) -> None:
    """It is by their addresses that sites are known again in nginx's file."""
    owners: dict[str, str] = {}
    for name, site in found.sites.items():
        if site.address is not None and owners.setdefault(site.address, name) != name:
            raise ParamsError(
                f"{path}: sites.{name}.address: {site.address} is that of {owners[site.address]}: "
                "give each site its own, or make them one site"
            )


def _located(found: Sites, folder: Path) -> Sites:
    sites = {
        name: site if site.trace is None else site.model_copy(update={"trace": folder / site.trace})
        for name, site in found.sites.items()
    }
    nginx = found.nginx and found.nginx.model_copy(
        update={"main": folder / found.nginx.main, "upstreams": folder / found.nginx.upstreams}
    )
    return found.model_copy(update={"sites": sites, "nginx": nginx})
