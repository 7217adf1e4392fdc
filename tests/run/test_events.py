"""What a run tells programs."""

import json
import threading

from glcic_jax.run.events import EventLog, read_events


def test_events_come_back(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    log.record("saving", step=5)
    log.record("save_failed", step=5, why='no "space"\nleft')
    events = list(read_events(tmp_path / "events.jsonl"))
    assert [event["event"] for event in events] == ["saving", "save_failed"]
    assert events[1]["step"] == 5 and events[1]["why"] == 'no "space"\nleft' and events[0]["time"] <= events[1]["time"]
    assert list(read_events(tmp_path / "none")) == []


def test_a_line_that_was_cut_off_hides_no_other(tmp_path):
    path = tmp_path / "events.jsonl"
    path.write_text('{"event": "started", "ti')
    EventLog(path).record("saved", step=1)
    assert [event["event"] for event in read_events(path)] == ["saved"]


def test_several_threads(tmp_path):
    log = EventLog(tmp_path / "events.jsonl")
    threads = [threading.Thread(target=lambda: [log.record("logged", step=i) for i in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = (tmp_path / "events.jsonl").read_text().splitlines()
    assert len(lines) == 200 and all(json.loads(line)["event"] == "logged" for line in lines)


def test_a_file_that_cannot_be_written_stops_nothing(tmp_path):
    said = []
    log = EventLog(tmp_path / "gone" / "events.jsonl", said.append)
    log.record("saving", step=1)
    log.record("saved", step=1)
    assert len(said) == 1 and "the run goes on without it" in said[0]
    EventLog(None).record("saving", step=1)
