"""The table of apparent people: read, written, damaged, of another model."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from facegpt.morphable import apparent
from facegpt.morphable.apparent import ApparentPeople, ApparentTableError, apparent_people
from facegpt.morphable.default import load_default


@pytest.fixture
def people() -> ApparentPeople:
    found = apparent_people(load_default())
    assert found is not None
    return found


def test_the_default_model_has_a_table(people: ApparentPeople) -> None:
    assert "photos" in people.source
    assert 20 < people.age < 50


def test_offsets_are_linear_and_vanish_in_the_middle(people: ApparentPeople) -> None:
    men = torch.tensor([0.0, 1.0, -1.0, 0.0])
    ages = torch.tensor([people.age, people.age, people.age, people.age + 10])
    for offsets in people.offsets(men, ages):
        nobody, man, woman, older = offsets
        assert nobody.abs().max() < 1e-6
        assert torch.allclose(man, -woman)
        assert float(man.norm()) > 0.5
        assert float(older.norm()) > 1.0


def test_what_is_saved_is_read(people: ApparentPeople, tmp_path: Path) -> None:
    people.save(tmp_path / "table.json")
    assert ApparentPeople.load(tmp_path / "table.json") == people


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"source": "x", "age": "old"}', "\x00"])
def test_damage_is_named(text: str, tmp_path: Path) -> None:
    path = tmp_path / "table.json"
    path.write_text(text)
    with pytest.raises(ApparentTableError, match=r"table\.json"):
        ApparentPeople.load(path)


def test_a_table_of_another_model_is_refused(
    people: ApparentPeople, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace(people, shape_man=people.shape_man[:7]).save(tmp_path / "apparent_default.json")
    monkeypatch.setattr(apparent, "ASSETS", tmp_path)
    with pytest.raises(ApparentTableError, match="7 shapes and 80 colours"):
        apparent_people(load_default())
