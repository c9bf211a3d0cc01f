"""The board on which processes post how they are."""

from pathlib import Path

from tidegate.app.condition import Board


def test_reasons_are_told_once_and_pauses_of_all(tmp_path: Path) -> None:
    for name in ("worker-1", "worker-2"):
        Board(tmp_path).post(name, "preparing", paused={"target": "503", name: "429"})
    board = Board(tmp_path)
    assert board.texts() == ["preparing"]
    assert board.paused() == {"target": "503", "worker-1": "429", "worker-2": "429"}
    board.post("worker-1")
    assert board.paused() == {"target": "503", "worker-2": "429"}


def test_a_board_that_cannot_be_written_ends_nobody(tmp_path: Path) -> None:
    directory = tmp_path / "board"
    board = Board(directory)
    board.post("worker-1", "preparing")
    directory.mkdir()
    board.post("worker-1", "preparing")
    assert board.texts() == ["preparing"]


def test_what_another_process_wrote_meanwhile_is_replaced(tmp_path: Path) -> None:
    parent, child = Board(tmp_path), Board(tmp_path)
    parent.post("worker-1", "worker-1 is starting")
    child.post("worker-1")
    parent.forget("worker-1")
    parent.post("worker-1", "worker-1 is starting")
    assert parent.texts() == ["worker-1 is starting"]
