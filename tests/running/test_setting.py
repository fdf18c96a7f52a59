"""Options go before the params file; a replay is asked for, never slipped into."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lowtide.errors import ParamsError, UsageError
from lowtide.running.setting import GridOptions, open_setting

PARAMS = Path("params.yaml")
SILENT = GridOptions(None, None, None, None)
AT = datetime(2022, 4, 14, 3, tzinfo=UTC)


def test_the_params_file_is_followed(write_params: Callable[..., Path]) -> None:
    write_params(carbon={"pue": 1.3, "replay_speed": 60})
    setting = open_setting(PARAMS, PARAMS, SILENT)
    assert (setting.pue, setting.replay_speed) == (1.3, 60)
    assert setting.clock.replay
    assert setting.schedule.levels == (0.0, 1.0)


def test_another_zone_is_on_the_system_clock(write_params: Callable[..., Path]) -> None:
    write_params()
    setting = open_setting(PARAMS, PARAMS, GridOptions("US-PJM", None, None, None))
    assert setting.source.zone == "US-PJM"
    assert not setting.clock.replay
    assert setting.replay_speed is None


@pytest.mark.usefixtures("checkout")
def test_no_params_file_is_needed_where_the_grid_is_named() -> None:
    setting = open_setting(PARAMS, PARAMS, GridOptions(None, "packaged", AT, 100.0))
    assert setting.clock.replay
    assert (setting.clock.now() - AT).total_seconds() < 3600
    assert (setting.pue, setting.replay_speed) == (1.0, 100.0)
    assert not open_setting(PARAMS, PARAMS, GridOptions("US-PJM", None, None, None)).clock.replay


@pytest.mark.usefixtures("checkout")
def test_no_grid_anywhere_is_wrong_usage() -> None:
    with pytest.raises(UsageError, match="--zone"):
        open_setting(PARAMS, PARAMS, SILENT)
    with pytest.raises(ParamsError, match=r"other\.yaml"):
        open_setting(Path("other.yaml"), PARAMS, GridOptions("US-PJM", None, None, None))


@pytest.mark.usefixtures("checkout")
def test_a_trace_of_the_past_needs_an_instant() -> None:
    with pytest.raises(UsageError, match="--at"):
        open_setting(PARAMS, PARAMS, GridOptions(None, "packaged", None, None))
