"""jobs/packs.py: variants that were packed once stay together, and what comes later is packed by itself."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from caplora.jobs.packs import pack_name, pack_path, pack_text, packs_of, read_packs, write_pack
from caplora.study.variants import Variant, read_variants
from tests.watching.small import small_study

MANY = tuple(Variant(rank=rank, alpha=alpha) for rank in (1, 2, 3, 4) for alpha in (1, 2, 4))


@given(st.integers(0, len(MANY)), st.integers(0, len(MANY)), st.integers(1, 5), st.integers(1, 5))
def test_every_variant_is_in_one_pack_whatever_was_packed_before(first: int, all_: int, size: int, later: int) -> None:
    known = packs_of(MANY[:first], size, {})
    found = packs_of(MANY[:all_], later, known)
    assert sorted(v.name for own in found.values() for v in own) == sorted(v.name for v in MANY[:all_])
    new = [own for name, own in found.items() if name not in known]
    assert all(1 <= len(own) <= later for own in new)
    assert all(pack_name(own) == name for name, own in found.items())


@pytest.mark.parametrize("size", [1, 2, 3, 5, None])
def test_variants_that_are_appended_make_new_packs_only(size: int | None) -> None:
    known = packs_of(MANY[:7], size, {})
    more = packs_of(MANY[:10], size, known)
    assert known.items() <= more.items() and list(more)[: len(known)] == list(known)
    assert [v for name, own in more.items() if name not in known for v in own] == list(MANY[7:10])
    assert packs_of(MANY[:10], size, more) == more


def test_a_pack_that_lost_a_variant_is_packed_anew_and_the_others_stay() -> None:
    known = packs_of(MANY[:6], 2, {})
    asked = [v for v in MANY[:6] if v != MANY[2]]
    found = packs_of(asked, 2, known)
    first, _, last = known
    assert found == {first: MANY[:2], last: MANY[4:6], pack_name([MANY[3]]): (MANY[3],)}


def test_without_a_size_all_are_one_pack_and_no_variants_are_none() -> None:
    assert packs_of(MANY, None, {}) == {pack_name(MANY): MANY}
    assert packs_of((), 3, {}) == packs_of((), None, {}) == {}


def test_the_name_of_a_pack_changes_with_any_variant_and_their_order() -> None:
    names = [pack_name(own) for own in (MANY[:2], MANY[:3], MANY[1::-1], [MANY[0]])]
    assert len(set(names)) == 4 and all(name[0] == "p" and int(name[1:], 16) >= 0 and len(name) == 9 for name in names)


def test_a_pack_is_read_as_it_was_written_and_as_a_file_of_variants(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    own = [
        Variant(rank=2, alpha=0.5, use_rslora=True, learning_rate=1e-5, seed=-1, targets="qkvo"),
        Variant(rank=4, alpha=8, images=3, epochs=2, captions="shuffled"),
    ]
    path = write_pack(study, own)
    assert path == pack_path(study, pack_name(own)) and path.read_text(encoding="utf-8") == pack_text(own)
    assert read_variants(str(path)) == tuple(own) and read_packs(study) == {path.stem: tuple(own)}


def test_a_foreign_torn_or_renamed_file_is_no_pack_and_of_two_with_one_variant_the_first_counts(tmp_path: Path) -> None:
    study = small_study(tmp_path)
    good = write_pack(study, MANY[:2])
    both = sorted([write_pack(study, MANY[3:5]), write_pack(study, MANY[4:6])])
    texts = {"p1234": "variants: [", "packs": "x: 1", "p00000000": pack_text(MANY[8:9]), "pempty": "variants: []"}
    for name, text in texts.items():
        (good.parent / f"{name}.yaml").write_text(text, encoding="utf-8")
    (good.parent / "pfolder.yaml").mkdir()
    assert set(read_packs(study)) == {good.stem, both[0].stem}


def test_a_pack_says_nothing_that_is_as_it_always_is() -> None:
    assert yaml.safe_load(pack_text(MANY[:1])) == {"variants": [{"rank": 1, "alpha": 1.0}]}
