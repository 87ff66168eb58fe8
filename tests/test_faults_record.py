"""The counts in the book are those of this suite, and enough."""

from faults import record
from hollow import book, files


def test_the_record_is_of_this_suite_and_has_enough_cases():
    assert record.FILE.exists(), "there is no record of the fault suite; make it with: make faults"
    said = files.read_record(record.FILE)
    assert said["suite"] == record.digest(), "the suite has changed since its counts were recorded; run: make faults"
    assert record.lacking(said["counts"]) == []
    assert said["command"] == "make faults"


def test_a_record_of_too_little_is_not_enough():
    counts = {what: {"kind": least} for what, least in record.LEAST.items()}
    assert record.lacking(counts) == [*record.MOMENTS]
    counts[record.KILLS] = dict.fromkeys(record.MOMENTS, 10)
    assert record.lacking(counts) == []
    assert record.lacking({**counts, record.DAMAGE: {"kind": 499}}) == [record.DAMAGE]


def test_the_status_page_shows_every_count(tmp_path):
    said = {"command": "make faults", "date": "d", "commit": "c", "hardware": "h", "python": "3", "torch": "2"}
    said |= {"seconds": 600, "counts": {"one": {"a": 30}, "two": {"b": 5000}}}
    files.write_record(tmp_path / "faults.json", said)
    page = "\n".join(book._faults(tmp_path / "faults.json"))
    assert "| one | a | 30 |" in page
    assert "| two | b | 5,000 |" in page
    assert "`make faults` on d in 10 minutes" in page
    assert book._faults(tmp_path / "none.json") == []
