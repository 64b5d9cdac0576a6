from pathlib import Path

import pytest

from core.errors import UnbakeError
from core.separation import ensembles, stems
from core.separation.ensembles import parse
from core.separation.separate import SeparationRequest, registered
from core.separation.together import passes_of, recipe_of
from core.separation.variant import Variant
from models import registry

TWO = """
name = "two"
about = "Two voices."

[[take]]
stem = "vocals"
[[take.from]]
model = "starter"
weight = 2.0
[[take.from]]
model = "spleeter-2stems"

[[take]]
stem = "drums"
[[take.from]]
model = "starter"
"""
VOICES = TWO[TWO.index("[[take.from]]") : TWO.index('[[take]]\nstem = "drums"')]
DRY = """
name = "dry"
about = "A dry voice."
[[take]]
stem = "vocals"
rest = "room"
[[take.from]]
model = "starter"
[[take]]
of = "vocals"
stem = "vocals-dry"
[[take.from]]
model = "spleeter-2stems"
stem = "vocals"
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("UNBAKE_HOME", str(tmp_path))
    (tmp_path / "ensembles").mkdir()
    return tmp_path / "ensembles"


def test_an_ensemble_says_its_stems_and_models():
    ensemble = parse(TWO, "two.toml")
    assert ensemble.stems == ("vocals", "drums")
    assert ensemble.models == ("starter", "spleeter-2stems")
    assert ensemble.overlap == 2.0


def test_what_is_left_of_a_stem_takes_its_place():
    assert parse(DRY, "dry.toml").stems == ("room", "vocals-dry")
    assert parse(DRY.replace('rest = "room"', ""), "dry.toml").stems == ("vocals-rest", "vocals-dry")


def test_its_version_follows_what_decides_its_samples():
    ensemble = parse(TWO, "two.toml")
    versions = {
        ensemble.version(["1", "2"]),
        ensemble.version(["1", "3"]),
        parse(TWO.replace("2.0", "3.0"), "two.toml").version(["1", "2"]),
        parse(TWO.replace("weight", 'stem = "drums"\nweight'), "two.toml").version(["1", "2"]),
    }
    assert len(versions) == 4
    assert parse(TWO.replace("Two voices", "Other words"), "two.toml").version(["1", "2"]) in versions


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('name = "two"', 'name = "Two!"', "two.toml, line 2: name"),
        ("weight = 2.0", "weight = 0.0", r"line 9: take\[0\]\.from\[0\]\.weight: must be > 0"),
        ("weight = 2.0", "wait = 2.0", r"take\[0\]\.from\[0\]\.wait: no such key"),
        ("weight = 2.0", "from_hz = 20.0", 'only combine = "bands" has bands'),
        ("weight = 2.0", "shifts = 99", "shifts: must be <= 8"),
        ('stem = "vocals"', 'stem = "vocals"\ncombine = "median"', "only a mean has weights"),
        ('stem = "vocals"', 'stem = "vocals"\ncombine = "best"', r"combine: .*mean, median"),
        ('stem = "vocals"', 'stem = "vocals"\nrest = "x"', "nothing is made from this stem"),
        ('stem = "drums"', 'stem = "vocals"', 'a take before this one is called "vocals" too'),
        ('stem = "drums"', 'stem = "drums"\nof = "bass"', 'no take before this one makes "bass"'),
        ('stem = "drums"', 'stem = "residual"', "can't be the name"),
        ('stem = "drums"', 'stem = "../drums"', "stem"),
        (
            '[[take.from]]\nmodel = "starter"\nweight = 2.0\n[[take.from]]\nmodel = "spleeter-2stems"\n',
            "",
            r"from: is missing",
        ),
        ("about", "about =", "not valid TOML"),
    ],
)
def test_a_bad_ensemble_names_the_key(old: str, new: str, says: str):
    text = TWO.replace("name", "name", 1)
    assert old in text
    with pytest.raises(UnbakeError, match=says):
        parse(text.replace(old, new), "two.toml")


@pytest.mark.parametrize(("edges", "good"), [((0, 300), True), ((20, 300), False), ((0, 0), False), ((0, -1), False)])
def test_bands_begin_at_zero_and_rise(edges: tuple[float, float], good: bool):
    text = TWO.replace("weight = 2.0", f"from_hz = {edges[0]}").replace('"vocals"', '"vocals"\ncombine = "bands"', 1)
    text = text.replace('"spleeter-2stems"', f'"spleeter-2stems"\nfrom_hz = {edges[1]}')
    if good:
        assert [member.from_hz for member in parse(text, "two.toml").takes[0].members] == [0.0, 300.0]
    else:
        with pytest.raises(UnbakeError, match=r"bands begin at 0 Hz and rise|must be >= 0"):
            parse(text, "two.toml")


def test_variants_are_every_way_asked_for():
    ensemble = parse(TWO.replace("weight = 2.0", "shifts = 3\ninvert = true\nswap = true"), "two.toml")
    variants = ensemble.takes[0].members[0].variants(44100)
    assert len(set(variants)) == 12
    assert variants[0] == Variant()
    assert max(variant.shift for variant in variants) < 0.5 * 44100
    assert len({variant.name for variant in variants}) == 12
    assert ensemble.takes[1].members[0].variants(44100) == [Variant()]


def test_the_ones_that_ship_can_be_made_of_the_cards_that_ship():
    found, broken = ensembles.all_ensembles()
    assert not broken
    assert len(found) >= 5
    for ensemble in found.values():
        assert ensemble.about.endswith(".")
        assert passes_of(list(ensemble.takes), registered)
        assert recipe_of("0" * 64, SeparationRequest(ensemble.name), ensemble).stems == ensemble.stems


def test_the_users_own_are_found_and_broken_ones_are_named(home: Path):
    (home / "two.toml").write_text(TWO)
    (home / "bad.toml").write_text("name = 3")
    (home / "starter.toml").write_text(TWO.replace('"two"', '"starter"'))
    found, broken = ensembles.all_ensembles()
    assert found["two"].models == ("starter", "spleeter-2stems")
    assert len(broken) == 2
    assert "a model has this name already" in " ".join(broken)
    assert ensembles.find("nonesuch") is None
    with pytest.raises(UnbakeError, match=r"bad\.toml"):
        ensembles.find("bad")


def test_models_and_ensembles_are_chosen_alike(home: Path):
    (home / "two.toml").write_text(TWO)
    (home / "far.toml").write_text(TWO.replace('"two"', '"far"').replace('"starter"', '"nowhere"'))
    choice = stems.choice("two")
    assert choice.stems == ("vocals", "drums")
    assert choice.installed
    assert choice.made_of == ("starter", "spleeter-2stems")
    assert "MIT" in choice.licence
    assert not stems.choice("far").installed
    assert stems.choice("starter").made_of == ()
    assert stems.choice("starter").overlap == registry.find("starter").overlap
    assert {"two", "far", "starter"} <= stems.choices().keys()
    with pytest.raises(UnbakeError, match='no model is called "tow"'):
        stems.choice("tow")
    with pytest.raises(UnbakeError, match='no model is called "startr"; did you mean starter'):
        stems.choice("startr")


def test_a_stem_that_its_model_does_not_make_is_said_in_the_list(home: Path) -> None:
    text = 'name = "wrong"\nabout = "x"\n[[take]]\nstem = "drums"\n[[take.from]]\nmodel = "spleeter-2stems"\n'
    (home / "wrong.toml").write_text(text)
    found, broken = ensembles.all_ensembles()
    assert "wrong" not in found
    assert 'the model spleeter-2stems has no stem "drums"' in broken[0]
