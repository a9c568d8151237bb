"""Faces are kept until their time is over; what is deleted is gone from the disk."""

import time
from pathlib import Path

import pytest

from facegpt.web.errors import UnknownFaceError
from facegpt.web.store import FaceStore, new_id

RECORD = {"schema": "facegpt.face/1", "method": "a very particular method"}


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, clock: Clock):
    store = FaceStore(tmp_path / "s", 100.0, clock)
    yield store
    store.close()


def on_the_disk(folder: Path) -> bytes:
    return b"".join(p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file())


def test_a_restart_loses_no_face(store: FaceStore, clock: Clock, tmp_path: Path) -> None:
    kept = store.keep(RECORD, "me", b"the photo")
    again = FaceStore(tmp_path / "s", 100.0, clock)
    assert again.face(kept.id) == kept
    assert again.photo(kept.id) == b"the photo"
    assert len(again) == 1
    again.close()


def test_what_is_deleted_is_gone(store: FaceStore, tmp_path: Path) -> None:
    kept = store.keep(RECORD, "me", b"the secret photo")
    other = store.keep({"method": "other"}, "you")
    store.files(kept.id).mkdir()
    (store.files(kept.id) / "head.glb").write_bytes(b"a secret head")
    assert b"a very particular method" in on_the_disk(store.folder)
    store.delete(kept.id)
    left = on_the_disk(store.folder)
    assert not any(word in left for word in (b"secret", b"very particular", kept.id.encode()))
    with pytest.raises(UnknownFaceError):
        store.face(kept.id)
    assert store.face(other.id).record == {"method": "other"}


def test_a_session_is_deleted_as_a_whole(store: FaceStore) -> None:
    mine = [store.keep(RECORD, "me") for _ in range(3)]
    yours, nobodys = store.keep(RECORD, "you"), store.keep(RECORD)
    assert store.delete_session("me") == 3
    assert store.delete_session("") == 0
    assert len(store) == 2
    for face in mine:
        with pytest.raises(UnknownFaceError):
            store.files(face.id)
    assert store.face(yours.id).session == "you"
    assert store.face(nobodys.id).session == ""


def test_time_deletes(store: FaceStore, clock: Clock, tmp_path: Path) -> None:
    old = store.keep(RECORD, "", b"old photo")
    clock.now += 60
    young = store.keep(RECORD)
    clock.now += 50
    with pytest.raises(UnknownFaceError):
        store.face(old.id)
    store.keep(RECORD)
    assert b"old photo" not in on_the_disk(store.folder)
    assert store.face(young.id).made == 1060
    clock.now += 1000
    again = FaceStore(tmp_path / "s", 100.0, clock)
    assert len(again) == 0
    assert list((tmp_path / "s" / "files").iterdir()) == []
    again.close()


def test_time_deletes_while_nobody_asks(tmp_path: Path) -> None:
    store = FaceStore(tmp_path / "s", 0.2)
    store.keep(RECORD, "", b"the photo of somebody")
    until = time.monotonic() + 20
    while b"somebody" in on_the_disk(store.folder) and time.monotonic() < until:
        time.sleep(0.05)
    assert b"somebody" not in on_the_disk(store.folder)
    store.close()


def test_folders_of_nobody_are_swept(store: FaceStore, clock: Clock, tmp_path: Path) -> None:
    lost = tmp_path / "s" / "files" / new_id()
    lost.mkdir()
    (lost / "photo").write_bytes(b"x")
    FaceStore(tmp_path / "s", 100.0, clock).close()
    assert not lost.exists()


def test_files_that_come_after_a_face_was_deleted_go_with_it(store: FaceStore) -> None:
    kept = store.keep(RECORD)
    folder = store.files(kept.id)
    store.delete(kept.id)
    folder.mkdir(parents=True)
    (folder / "head.glb").write_bytes(b"late")
    with pytest.raises(UnknownFaceError):
        store.delete_files_of_nobody(kept.id)
    assert not folder.parent.exists()


@pytest.mark.parametrize("wrong", ["", "..", "../../etc/passwd", "a" * 21, "a" * 23, "ä" * 22])
def test_what_is_no_id_is_no_face(store: FaceStore, wrong: str) -> None:
    for ask in (store.face, store.photo, store.files, store.delete):
        with pytest.raises(UnknownFaceError):
            ask(wrong)


def test_ids_are_long_and_differ() -> None:
    ids = {new_id() for _ in range(1000)}
    assert len(ids) == 1000
    assert {len(i) for i in ids} == {22}
