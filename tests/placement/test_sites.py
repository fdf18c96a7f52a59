"""A sites file is read whole or refused in one line that says what, where and what to do."""

from pathlib import Path
from typing import Any

import pytest

from lowtide.errors import ParamsError
from lowtide.placement.sites import load_sites
from tests.placement.files import site, sites_content, write_sites

NGINX = {"main": "nginx.conf", "upstreams": "upstreams.conf"}
ROOT = Path(__file__).parent.parent.parent


def changed(*place: str, value: Any) -> dict[str, Any]:
    content = sites_content()
    inner = content
    for name in place[:-1]:
        inner = inner[name]
    inner[place[-1]] = value
    return content


def test_the_example_is_valid_and_one_number_is_every_hour() -> None:
    found = load_sites(ROOT / "examples/placement/sites.yaml")
    assert list(found.sites) == ["oakland", "dallas", "ashburn"]
    assert found.groups["east"].demand_per_s == (60.0,) * 24
    assert len(set(found.groups["west"].demand_per_s)) > 12


def test_paths_are_relative_to_the_file(tmp_path: Path) -> None:
    content = sites_content({"north": site(trace="a.csv"), "south": site()})
    found = load_sites(write_sites(tmp_path / "sites.yaml", content))
    assert found.sites["north"].trace == tmp_path / "a.csv"
    assert found.sites["south"].trace is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (changed("sites", "north", "capacity_per_sec", value=1), "did you mean capacity_per_s"),
        (changed("sites", "north", "capacity_per_s", value=-5), r"north.capacity_per_s.*found -5"),
        (changed("sites", "north", "pue", value=0.9), r"sites.north.pue"),
        (changed("sites", "north", "idle_power_w", value=float("nan")), "idle_power_w"),
        (changed("sites", "north", "address", value="a:1; include /etc/passwd"), "north.address"),
        (changed("sites", "Bad Name", value=site()), "sites"),
        (changed("sites", value={}), "sites"),
        (
            changed("sites", value={name: site(address="a:1") for name in ("north", "south")}),
            r"sites.south.address: a:1 is that of north: give each",
        ),
        (changed("nginx", value={**NGINX, "plan_url": "http://a:99999/"}), "nginx.plan_url"),
        (changed("nginx", value={**NGINX, "plan_url": "localhost"}), "nginx.plan_url"),
        (changed("groups", "users", "demand_per_s", value=[1.0] * 23), "23 numbers"),
        (changed("groups", "users", "demand_per_s", value=-1), "demand_per_s"),
        (changed("groups", "users", "latency_ms_p95_max", value=10), "no site answers within 10"),
        (changed("groups", "others", value={"demand_per_s": 1, "latency_ms_p95_max": 9}), "others"),
        (changed("availability", "share_max", value=0.3), "raise it to 0.34 or more"),
        (changed("hysteresis", "step_max", value=0.01), "no site could open"),
        (changed("sites", value={"north": site()}) | {"extra": 1}, "extra: no such key"),
        (changed("without_intensity", value="guess"), "without_intensity"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    tmp_path: Path, content: dict[str, Any], message: str
) -> None:
    path = write_sites(tmp_path / "sites.yaml", content)
    with pytest.raises(ParamsError, match=message) as raised:
        load_sites(path)
    assert str(raised.value).startswith(str(path))
    assert "\n" not in str(raised.value)


def test_one_site_cannot_survive_its_loss(tmp_path: Path) -> None:
    content = sites_content({"north": site()})
    content["availability"]["share_max"] = 1.0
    with pytest.raises(ParamsError, match="needs two sites and there is 1"):
        load_sites(write_sites(tmp_path / "sites.yaml", content))


def test_a_route_to_a_group_that_is_not_there_is_named(tmp_path: Path) -> None:
    route = {"latency_ms_p95": 1.0, "network_energy_j": 0.0}
    content = sites_content()
    content["sites"]["north"]["users"]["martians"] = route
    with pytest.raises(ParamsError, match=r"sites.north.users.martians: there is no group"):
        load_sites(write_sites(tmp_path / "sites.yaml", content))


def test_a_key_given_twice_is_refused(tmp_path: Path) -> None:
    path = write_sites(tmp_path / "sites.yaml", sites_content())
    path.write_text(path.read_text() + "without_intensity: exclude\n")
    with pytest.raises(
        ParamsError, match=r"line \d+, column 1: without_intensity is given twice"
    ) as raised:
        load_sites(path)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_text_are_no_yaml(tmp_path: Path) -> None:
    path = tmp_path / "sites.yaml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ParamsError, match="not valid YAML"):
        load_sites(path)
