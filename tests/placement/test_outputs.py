"""A plan as nginx upstreams and back, and as an HTTPRoute."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from lowtide.errors import NginxError, ParamsError
from lowtide.placement.kubernetes import http_route
from lowtide.placement.nginx import plan_digest, read_plan, upstreams
from lowtide.placement.plan import Plan
from lowtide.placement.sites import Sites
from tests.placement.files import site, sites_content

PLAN = Plan(
    {"users": {"north": 0.7004, "south": 0.2996}},
    {"users": frozenset({"east"})},
    {"north": 0.7004, "south": 0.2996, "east": 0.0, "west": 0.0},
    frozenset({"north", "south", "east"}),
)
NAMES = ("north", "south", "east", "west")
KUBERNETES = {
    "name": "lowtide",
    "namespace": "serving",
    "gateway": "public",
    "hostnames": ["a.example.org"],
    "group_header": "X-Group",
}


def sites(**changes: Any) -> Sites:
    named = {
        name: site(address=f"10.0.0.{place}:80", service={"name": f"at-{name}", "port": 80})
        for place, name in enumerate(NAMES)
    }
    return Sites.model_validate({**sites_content(named), "kubernetes": KUBERNETES, **changes})


def block(text: str, name: str) -> list[str]:
    found = re.search(rf"upstream {name} {{\n(.*?)\n}}", text, re.DOTALL)
    assert found is not None
    return [line.strip() for line in found[1].splitlines() if "server" in line]


@pytest.mark.parametrize("name", ["lowtide", "lowtide-users"])
def test_open_sites_stand_in_and_closed_ones_are_down(name: str) -> None:
    assert block(upstreams(PLAN, sites()), name) == [
        "server 10.0.0.0:80 weight=700 max_fails=1 fail_timeout=10s;",
        "server 10.0.0.1:80 weight=300 max_fails=1 fail_timeout=10s;",
        "server 10.0.0.2:80 backup max_fails=1 fail_timeout=10s;",
        "server 10.0.0.3:80 down;",
    ]


def test_a_plan_is_read_back_as_it_was_written() -> None:
    found = read_plan(upstreams(PLAN, sites()), sites())
    assert found.shares == {"users": {"north": 0.7, "south": 0.3}}
    assert found.backups == PLAN.backups
    assert found.open_sites == PLAN.open_sites
    assert upstreams(found, sites()) == upstreams(PLAN, sites())


def test_a_share_too_small_for_a_weight_stands_by() -> None:
    """Were it down, nobody could stand in for the other one."""
    tiny = Plan(
        {"users": {"north": 0.9997, "south": 0.0003}}, {"users": frozenset()},
        {"north": 0.9, "south": 0.1, "east": 0.0, "west": 0.0}, frozenset({"north", "south"}),
    )  # fmt: skip
    assert block(upstreams(tiny, sites()), "lowtide-users")[:2] == [
        "server 10.0.0.0:80 weight=1000 max_fails=1 fail_timeout=10s;",
        "server 10.0.0.1:80 backup max_fails=1 fail_timeout=10s;",
    ]


def test_an_address_that_is_no_site_s_stands_for_itself() -> None:
    """So that it is seen that it serves, and should not."""
    text = upstreams(PLAN, sites()).replace("10.0.0.1:", "10.0.0.9:").replace("10.0.0.2:", "b:")
    found = read_plan(text, sites())
    assert found.shares == {"users": {"north": 0.7, "10.0.0.9:80": 0.3}}
    assert found.open_sites == {"north", "10.0.0.9:80", "b:80"}


def test_the_digest_is_of_the_plan() -> None:
    text = upstreams(PLAN, sites())
    other = Plan({"users": {"north": 1.0}}, PLAN.backups, {"north": 1.0}, PLAN.open_sites)
    assert plan_digest(text) == plan_digest(upstreams(PLAN, sites()))
    assert plan_digest(text) != plan_digest(upstreams(other, sites()))
    assert plan_digest("events {}") is None


def test_a_foreign_file_is_not_taken_for_a_plan() -> None:
    with pytest.raises(NginxError, match="no upstreams that lowtide has written"):
        read_plan("upstream lowtide {\n    server a:1;\n}\n", sites())


def test_a_route_has_a_rule_for_each_group_and_one_for_the_rest() -> None:
    route = yaml.safe_load(http_route(PLAN, sites()))
    assert (route["apiVersion"], route["kind"]) == ("gateway.networking.k8s.io/v1", "HTTPRoute")
    assert route["metadata"] == {"name": "lowtide", "namespace": "serving"}
    of_users, of_all = route["spec"]["rules"]
    assert of_users["matches"] == [
        {"headers": [{"type": "Exact", "name": "X-Group", "value": "users"}]}
    ]
    assert "matches" not in of_all
    weights = [(one["name"], one["weight"]) for one in of_all["backendRefs"]]
    assert weights == [("at-north", 700), ("at-south", 300)]


def test_what_the_gateway_api_does_not_take_is_split_or_refused() -> None:
    """At most 16 rules a route, and 16 backends a rule."""
    groups = {f"group-{place}": PLAN.shares["users"] for place in range(20)}
    many = Plan(groups, {}, PLAN.site_shares, PLAN.open_sites)
    routes = list(yaml.safe_load_all(http_route(many, sites())))
    assert [route["metadata"]["name"] for route in routes] == ["lowtide", "lowtide-2"]
    assert [len(route["spec"]["rules"]) for route in routes] == [16, 5]
    names = [f"site-{place}" for place in range(20)]
    thin = Plan({"users": dict.fromkeys(names, 0.05)}, {}, {}, frozenset(names))
    served = {name: site(service={"name": name, "port": 80}) for name in names}
    wide = Sites.model_validate({**sites_content(served), "kubernetes": KUBERNETES})
    with pytest.raises(ParamsError, match="users: 20 sites serve, a rule of an HTTPRoute takes 16"):
        http_route(thin, wide)


def test_what_a_form_needs_and_the_file_lacks_is_said() -> None:
    bare = Sites.model_validate(sites_content())
    with pytest.raises(ParamsError, match=r"sites\.north has no address"):
        upstreams(PLAN, bare)
    with pytest.raises(ParamsError, match="no section kubernetes"):
        http_route(PLAN, bare)
    with pytest.raises(ParamsError, match=r"sites\.north has no service"):
        http_route(PLAN, Sites.model_validate({**sites_content(), "kubernetes": KUBERNETES}))


def test_the_shipped_configuration_fits_the_example() -> None:
    """Its include, its groups and its address of the plan are those of the sites file."""
    root = Path(__file__).parent.parent.parent
    main = (root / "deploy/nginx/nginx.conf").read_text()
    example = yaml.safe_load((root / "examples/placement/sites.yaml").read_text())
    assert f"include {example['nginx']['upstreams']};" in main
    for group in example["groups"]:
        assert re.search(rf"^ +{group} lowtide-{group};$", main, re.MULTILINE)
    host, _, path = example["nginx"]["plan_url"].removeprefix("http://").partition("/")
    assert f"listen {host};" in main
    assert f"location = /{path} {{" in main
