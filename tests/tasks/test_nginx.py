"""Upstreams go live only as nginx has checked them, and by one run at a time."""

from pathlib import Path

import pytest

from lowtide.errors import LockedError, NginxError
from lowtide.placement.sites import Nginx
from tasks.nginx import alone, swap

BEFORE, AFTER = "# before\n", "# after\n"


@pytest.fixture
def nginx(tmp_path: Path) -> Nginx:
    (tmp_path / "upstreams.conf").write_text(BEFORE)
    return Nginx.model_validate(
        {
            "main": tmp_path / "nginx.conf",
            "upstreams": tmp_path / "upstreams.conf",
            "plan_url": "http://127.0.0.1:1/lowtide-plan",
            "program": str(tmp_path / "nginx"),
        }
    )


@pytest.mark.parametrize(
    "main",
    [
        "events {}\n",
        "# include UPSTREAMS;\n",
        "http { include /etc/conf.d/*.conf; } # not include UPSTREAMS;\n",
        "include UPSTREAMS.d/*.conf;\n",
    ],
)
def test_a_main_file_that_does_not_include_the_upstreams_checks_nothing(
    nginx: Nginx, main: str
) -> None:
    nginx.main.write_text(main.replace("UPSTREAMS", str(nginx.upstreams)))
    with pytest.raises(NginxError, match=r"does not include .*: add `include"):
        swap(AFTER, nginx)
    assert nginx.upstreams.read_text() == BEFORE


def test_two_runs_do_not_balance_at_once(nginx: Nginx) -> None:
    with alone(nginx), pytest.raises(LockedError, match="another run balances"), alone(nginx):
        pass
    with alone(nginx):
        pass


def test_an_nginx_that_is_not_there_is_said(nginx: Nginx) -> None:
    nginx.main.write_text(f"http {{ include {nginx.upstreams}; }}\n")
    with pytest.raises(NginxError, match=r"cannot be run .*: install nginx"):
        swap(AFTER, nginx)
    assert nginx.upstreams.read_text() == BEFORE
    assert {path.name for path in nginx.main.parent.iterdir()} == {"nginx.conf", "upstreams.conf"}


def test_no_folder_of_nginx_is_made(nginx: Nginx, tmp_path: Path) -> None:
    elsewhere = nginx.model_copy(update={"upstreams": tmp_path / "none/upstreams.conf"})
    with pytest.raises(NginxError, match=r"there is no folder .*none: make it"), alone(elsewhere):
        pass
    assert not (tmp_path / "none").exists()
