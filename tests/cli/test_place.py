"""`lowtide place`: a table, JSON, files for nginx and Kubernetes, and one line for mistakes."""

import json
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner, Result

from lowtide.cli import app
from lowtide.errors import CapacityError, LowtideError, ParamsError, UsageError

EXAMPLE = Path(__file__).parent.parent.parent / "examples/placement/sites.yaml"
AT = ["--at", "2022-04-14T20:00Z"]


def lowtide(*arguments: str, sites: Path = EXAMPLE) -> Result:
    return CliRunner().invoke(app, ["place", "--sites", str(sites), *arguments])


def test_json_has_the_shares_and_what_they_emit() -> None:
    content = json.loads(lowtide(*AT, "--json").output)
    assert [one["site"] for one in content["shares"]] == ["oakland", "dallas", "ashburn"]
    assert sum(one["share"] for one in content["shares"]) == pytest.approx(1)
    assert content["emissions_g_per_hour"] < content["emissions_g_per_hour_equal_split"]
    assert content["mip_gap"] == 0
    assert content["at"] == "2022-04-14T20:00:00Z"
    assert content["demand_per_s"] == 136  # 76 in the west at 20:00, 60 in the east


def test_the_table_names_sites_and_the_saving() -> None:
    printed = lowtide(*AT).output
    assert "oakland" in printed
    assert "an equal split" in printed
    assert "% less" in printed
    assert "\nintensity: " in printed


def test_files_are_written_for_nginx_and_kubernetes(tmp_path: Path) -> None:
    upstreams, route = tmp_path / "upstreams.conf", tmp_path / "route.yaml"
    done = lowtide(*AT, "--nginx", str(upstreams), "--kubernetes", str(route))
    assert done.stderr.splitlines() == [f"{upstreams} is written", f"{route} is written"]
    text = upstreams.read_text()
    assert all(f"upstream {name} {{" in text for name in ("lowtide", "lowtide-west"))
    rules = yaml.safe_load(route.read_text())["spec"]["rules"]
    assert [sum(one["weight"] for one in rule["backendRefs"]) for rule in rules] == [1000] * 3


def test_a_replay_has_every_policy() -> None:
    content = json.loads(lowtide("--at", "2022-04-14T00:00Z", "--replay", "--json").output)
    assert set(content["policies"]) == {"equal-split", "least-latency", "lowtide", "lowtide-steady"}
    assert content["policies"]["lowtide"]["saving_vs_equal_split"] > 0


def edited(tmp_path: Path, **groups: object) -> Path:
    content = yaml.safe_load(EXAMPLE.read_text())
    content["groups"]["west"] |= groups
    path = tmp_path / "sites.yaml"
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.mark.parametrize(
    ("groups", "arguments", "kind", "message"),
    [
        ({"demand_per_s": 500}, AT, CapacityError, "2022-04-14 20:00 UTC: .* more than the 450"),
        ({"latency_ms_p95_max": 5}, AT, ParamsError, "no site answers within 5 ms"),
        ({"demand": 5}, AT, ParamsError, "groups.west.demand: no such key; did you mean demand_"),
        ({}, ["--at", "yesterday"], UsageError, "--at 'yesterday'"),
        ({}, ["--replay"], UsageError, "--replay needs --at"),
        ({}, [*AT, "--nginx", "typo/up.conf"], UsageError, "there is no folder typo: make it"),
        ({"demand_per_s": -5}, AT, ParamsError, r"demand_per_s.*\(found -5\)$"),
    ],
)
def test_mistakes_are_one_line(
    tmp_path: Path,
    groups: dict[str, object],
    arguments: list[str],
    kind: type[LowtideError],
    message: str,
) -> None:
    result = lowtide(*arguments, sites=edited(tmp_path, **groups))
    assert isinstance(result.exception, kind)
    with pytest.raises(kind, match=message):
        raise result.exception
    assert "\n" not in str(result.exception)


def test_a_file_that_is_not_there_is_said(tmp_path: Path) -> None:
    result = lowtide(sites=tmp_path / "none.yaml")
    assert isinstance(result.exception, ParamsError)
    assert "none.yaml cannot be read" in str(result.exception)
