"""Nothing recorded is lost, nothing torn does harm."""

from pathlib import Path

from lowtide.tracking.journal import Journal, Sent, all_journals


def test_entries_come_back_in_order_with_their_position(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    journal.append("start", name="a")
    journal.append("metrics", metrics={"loss": 1.0}, step=3)
    entries = journal.entries()
    assert [entry["kind"] for entry, _ in entries] == ["start", "metrics"]
    assert entries[-1][1] == (tmp_path / "run.jsonl").stat().st_size
    assert [entry["kind"] for entry, _ in journal.entries(entries[0][1])] == ["metrics"]


def test_what_was_sent_is_no_longer_unsent(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    assert not journal.has_unsent()
    journal.append("start", name="a")
    journal.append("end", status="FINISHED")
    assert journal.num_unsent() == 2
    journal.mark_sent(Sent(journal.entries()[0][1], "id", "store"))
    assert journal.num_unsent() == 1
    journal.mark_sent(Sent(journal.entries()[1][1], "id", "store"))
    assert not journal.has_unsent()
    assert Journal(tmp_path, "run").sent().run_id == "id"


def test_a_torn_line_is_no_entry_and_spares_the_next(tmp_path: Path) -> None:
    journal = Journal(tmp_path, "run")
    journal.append("start", name="a")
    with (tmp_path / "run.jsonl").open("ab") as file:
        file.write(b'{"kind": "metrics", "metr')
    assert [entry["kind"] for entry, _ in journal.entries()] == ["start"]
    journal.append("end", status="FINISHED")
    assert [entry["kind"] for entry, _ in journal.entries()] == ["start", "end"]


def test_a_kept_file_stays_as_it_was(tmp_path: Path) -> None:
    source = tmp_path / "card.json"
    source.write_text("first")
    journal = Journal(tmp_path / "journal", "run")
    kept = journal.keep_file(source)
    source.write_text("second")
    assert kept.read_text() == "first"
    journal.append("end")
    journal.forget()
    assert not kept.exists()
    assert all_journals(tmp_path / "journal") == []
