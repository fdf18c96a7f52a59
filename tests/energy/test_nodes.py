"""What another node uses reaches the node with the ledger, through torch's store."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch.distributed as dist

from lowtide.energy import nodes
from lowtide.energy.ledger import Ledger
from lowtide.energy.meter import EnergyMeter
from lowtide.energy.nodes import Board, NodeSource, telling
from lowtide.energy.sources import kind
from lowtide.errors import MeterError
from tests.energy.test_meter import Counter, ManualClock, StepGrid

KWH = 3.6e6


@pytest.fixture
def boards() -> tuple[Board, Board]:
    """Two connections to one store: of the first node, and of the other."""
    server = dist.TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)
    return server, dist.TCPStore("127.0.0.1", server.port, is_master=False)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def meter(source: NodeSource, ledger: Ledger) -> EnergyMeter:
    return EnergyMeter([source], StepGrid(), ManualClock(), ledger, 1.0, 3600, 3600)


def test_readings_have_the_name_of_their_node(boards: tuple[Board, Board]) -> None:
    here, there = boards
    first, second = NodeSource(here, 1), NodeSource(here, 2)
    assert first.read() == []
    counter = Counter()
    counter.cpu_j = 7.0
    with telling([counter], there, 1):
        pass
    assert [(one.component, one.energy_j) for one in first.read()] == [
        ("cpu@node1", 7.0), ("gpu0@node1", 0.0)
    ]  # fmt: skip
    assert second.read() == []
    assert kind("gpu0@node12") == "gpu"


def test_what_a_node_used_while_the_window_was_open_is_counted_once(
    boards: tuple[Board, Board], ledger: Ledger
) -> None:
    here, there = boards
    counter, source = Counter(), NodeSource(here, 1)
    counter.cpu_j = 5 * KWH
    with telling([counter], there, 1, every_s=3600):
        while not source.read():  # its first note
            pass
        with meter(source, ledger).window("run", "train") as window:
            window.sample()
            assert window.totals().energy_kwh == 0
    counter.cpu_j = 5 * KWH
    with meter(source, ledger).window("run", "train"), telling([counter], there, 1, every_s=3600):
        counter.cpu_j += 2 * KWH  # told as it ends, at the latest
    totals = ledger.totals("run")
    assert totals.energy_kwh == pytest.approx(2)
    assert totals.components.keys() == {"cpu@node1", "gpu0@node1"}


def test_a_node_that_begins_to_tell_later_is_counted_from_its_beginning(
    boards: tuple[Board, Board], ledger: Ledger
) -> None:
    here, there = boards
    counter, source = Counter(), NodeSource(here, 1)
    with meter(source, ledger).window("run", "train") as window:
        window.sample()
        with telling([counter], there, 1):
            counter.cpu_j = 3 * KWH
    assert ledger.totals("run").energy_kwh == pytest.approx(3)


def test_a_source_that_is_lost_on_a_node_makes_the_energy_unknown(
    boards: tuple[Board, Board], ledger: Ledger
) -> None:
    here, there = boards
    counter, source = Counter(), NodeSource(here, 1)
    with telling([counter], there, 1):
        pass
    with meter(source, ledger).window("run", "train"):
        counter.gone = True
        with telling([counter], there, 1):
            pass
    assert ledger.totals("run").energy_kwh is None


def test_a_node_that_falls_silent_is_an_error(
    boards: tuple[Board, Board], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, there = boards
    source = NodeSource(here, 1)
    with telling([Counter()], there, 1):
        pass
    assert source.read() == source.read()
    monkeypatch.setattr(nodes, "SILENT_S", -1.0)
    with pytest.raises(MeterError, match="node 1 has not told its energy"):
        source.read()


def test_a_node_that_never_tells_anything_makes_the_energy_unknown_once_it_is_given_up(
    boards: tuple[Board, Board], ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, counter = boards[0], Counter()
    both = EnergyMeter(
        [counter, NodeSource(here, 1)], StepGrid(), ManualClock(), ledger, 1.0, 3600, 3600
    )
    with both.window("run", "train") as window:
        counter.cpu_j += KWH
        window.sample()
        assert window.totals().energy_kwh == pytest.approx(1)  # it may tell yet
        monkeypatch.setattr(nodes, "SILENT_S", -1.0)
        window.sample()
        assert window.totals().energy_kwh is None
    totals = ledger.totals("run")
    assert totals.energy_kwh is None
    assert totals.components["cpu"].energy_kwh == pytest.approx(1)


class Gone:
    """The store's process is no more."""

    def set(self, key: str, value: str) -> None:
        raise dist.DistNetworkError("Connection reset by peer")

    def get(self, key: str) -> bytes:
        raise dist.DistNetworkError("Connection reset by peer")

    def check(self, keys: list[str]) -> bool:
        raise dist.DistNetworkError("Connection reset by peer")


def test_a_store_that_has_gone_loses_the_node_and_stops_its_telling(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with pytest.raises(MeterError, match="node 1 cannot be heard any more"):
        NodeSource(Gone(), 1).read()
    with telling([Counter()], Gone(), 1):
        pass
    assert "the energy of node 1 cannot be told any more" in caplog.text
