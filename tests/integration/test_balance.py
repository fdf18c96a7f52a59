"""The balancer, nginx and three servers of a model, on replayed grids.

One story told in order: the same nginx runs throughout.
"""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect.states import State
from prefect.testing.utilities import prefect_test_harness

from flows.balance import balance
from lowtide.placement.nginx import plan_digest, read_plan, upstreams
from lowtide.placement.plan import Plan
from lowtide.placement.sites import load_sites
from lowtide.placement.solve import solve
from tasks.placing import read_problem
from tests.integration.proxied import Origin, Proxy
from tests.placement.files import START, site, sites_content, write_sites, write_trace
from tests.servers import wait_until

pytestmark = [
    pytest.mark.integration,
    pytest.mark.skipif(shutil.which("nginx") is None, reason="nginx is not installed"),
]
# g/kWh by the hour; the cleanest is another one each time.
GRIDS = {"north": [50, 400, 300, 300], "south": [300, 50, 400, 300], "east": [400, 300, 50, 290]}
REQUESTS = 200


@dataclass
class World:
    file: Path
    proxy: Proxy
    origins: dict[str, Origin]

    def balance(self, hour: float, **changes: Any) -> State[Any]:
        """At an hour of the traces; `changes` are made to the sites file for this once."""
        file = self.file
        if changes:
            content = {**yaml.safe_load(file.read_text()), **changes}
            file = write_sites(file.with_name("changed.yaml"), content)
        return balance(file, START + timedelta(hours=hour), return_state=True)

    @property
    def text(self) -> str:
        return self.proxy.upstreams.read_text()

    def planned(self) -> Plan:
        return read_plan(self.text, load_sites(self.file))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("balance")
    origins = {name: Origin(name, folder) for name in GRIDS}
    proxy = Proxy(folder, folder / "upstreams.conf")
    sites = {}
    for name, levels_g in GRIDS.items():
        write_trace(folder / f"{name}.csv", levels_g)
        sites[name] = site(name, trace=f"{name}.csv", address=origins[name].address)
    content = sites_content(sites)
    content["availability"] |= {"share_max": 0.7, "share_min": 0.1}
    content["hysteresis"]["step_max"] = 1.0
    content["nginx"] = {
        "main": "nginx.conf", "upstreams": "upstreams.conf", "plan_url": proxy.plan_url
    }  # fmt: skip
    found = World(write_sites(folder / "sites.yaml", content), proxy, origins)
    first = load_sites(found.file)
    proxy.upstreams.write_text(upstreams(Plan.of(solve(read_problem(first, START))), first))
    try:
        for origin in origins.values():
            wait_until(origin.answers, 120, origin.name)
        proxy.start()
        with prefect_test_harness(server_startup_timeout=240):
            yield found
    finally:
        proxy.stop()
        for origin in origins.values():
            origin.stop()


def assert_follows(world: World, group: str | None = None) -> None:
    """Within 3 points, at every site."""
    plan, served = world.planned(), world.proxy.ask(REQUESTS, group)
    for name, origin in world.origins.items():
        assert served[origin.address] / REQUESTS == pytest.approx(
            plan.site_shares.get(name, 0), abs=0.03
        )


@pytest.mark.parametrize(("hour", "cleanest"), [(0, "north"), (1, "south"), (2, "east")])
def test_traffic_follows_the_grid(world: World, hour: float, cleanest: str) -> None:
    state = world.balance(hour)
    assert state.name == ("Kept" if hour == 0 else "Moved"), state.message
    assert world.planned().site_shares[cleanest] == pytest.approx(0.7)
    assert world.proxy.plan == plan_digest(world.text)
    assert_follows(world)
    assert_follows(world, "users")


def test_a_small_saving_keeps_the_weights(world: World) -> None:
    """In the last hour the three are nearly alike."""
    before = world.text
    state = world.balance(3)
    assert state.name == "Kept", state.message
    assert world.text == before


def test_what_is_on_disk_and_not_yet_live_is_loaded(world: World) -> None:
    """As after a kill between the rename and the reload."""
    found = load_sites(world.file)
    world.proxy.upstreams.write_text(upstreams(Plan.of(solve(read_problem(found, START))), found))
    assert world.proxy.plan != plan_digest(world.text)
    assert world.balance(0).name == "Reloaded"
    assert world.proxy.plan == plan_digest(world.text)
    assert_follows(world)


def changed_site(world: World, **changes: Any) -> dict[str, Any]:
    content = yaml.safe_load(world.file.read_text())
    content["sites"]["south"] |= changes
    return {"sites": content["sites"]}


def test_a_configuration_that_nginx_refuses_never_goes_live(world: World) -> None:
    before = world.text
    state = world.balance(1, **changed_site(world, address="127.0.0.1:99999"))
    assert state.is_failed()
    assert 'invalid port in upstream "127.0.0.1:99999"' in str(state.message)
    assert_untouched(world, before)


def test_a_main_file_without_the_include_is_said(world: World) -> None:
    nginx = yaml.safe_load(world.file.read_text())["nginx"]
    other = world.proxy.main.with_name("other.conf")
    other.write_text("events {}\n")
    before = world.text
    state = world.balance(1, nginx={**nginx, "main": "other.conf"})
    assert "add `include" in str(state.message)
    assert_untouched(world, before)


def test_a_reload_that_nginx_does_not_answer_with_is_taken_back(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.nginx.TAKES_S", 1.0)
    nginx = yaml.safe_load(world.file.read_text())["nginx"]
    before = world.text
    state = world.balance(1, nginx={**nginx, "plan_url": "http://127.0.0.1:1/lowtide-plan"})
    assert "does not answer with plan" in str(state.message)
    assert world.text == before
    wait_until(lambda: world.proxy.plan == plan_digest(before), 10, "nginx with the old file")


def test_without_intensity_the_weights_stay(world: World) -> None:
    before = world.text
    state = world.balance(1, **changed_site(world, trace="none.csv"))
    assert "site south: there is no trace" in str(state.message)
    assert "nginx keeps its weights" in str(state.message)
    assert_untouched(world, before)


def test_too_much_demand_leaves_the_weights(world: World) -> None:
    before = world.text
    groups = {"users": {"demand_per_s": 1000.0, "latency_ms_p95_max": 50.0}}
    state = world.balance(1, groups=groups)
    assert "users: 700 requests/s more than the 300" in str(state.message)
    assert_untouched(world, before)


def assert_untouched(world: World, before: str) -> None:
    assert world.text == before
    assert world.proxy.plan == plan_digest(before)
    left = {path.name for path in world.proxy.main.parent.iterdir()}
    assert not {name for name in left if "candidate" in name}


def test_a_killed_server_costs_no_request(world: World) -> None:
    """Those in flight and those after it go to the others, POST too."""
    world.balance(0)
    north = world.origins["north"]
    with ThreadPoolExecutor() as pool:
        asked = [pool.submit(world.proxy.ask, REQUESTS) for _ in range(4)]
        next(one for one in world.proxy.answering() if one == north.address)
        north.kill()
        assert [one.result().total() for one in asked] == [REQUESTS] * 4
    assert world.proxy.ask(REQUESTS)[north.address] == 0
    assert world.proxy.ask(20, "users").total() == 20


def test_an_nginx_that_does_not_run_is_said_and_its_file_stays(world: World) -> None:
    world.proxy.stop()
    before = world.text
    state = world.balance(1)
    assert state.is_failed()
    assert "reload" in str(state.message)
    assert world.text == before
