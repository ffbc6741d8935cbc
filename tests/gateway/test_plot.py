"""`tollbook plot`: the figures of `statement` as a picture in a new file."""

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed: pip install -e '.[plots]'")


def words(shop, *more):
    return ("plot", shop.log, "--subscriber", "alice", "--plan", "pro", *more)


@pytest.mark.parametrize("form", ["svg", "png", "html"])
def test_it_draws_an_account_into_a_new_file(tollbook, shop, tmp_path, form):
    out = tmp_path / f"alice.{form}"
    done = tollbook(*words(shop, "--out", out))
    movements = len(tollbook("statement", *words(shop)[1:], "--json").json["lines"])
    assert (done.code, done.out) == (0, f"{movements} movements of alice on pro in {out}\n")
    assert out.stat().st_size > 1_000


def test_it_draws_what_was_asked_for(tollbook, shop, tmp_path):
    out = tmp_path / "alice.svg"
    part = ("--from", shop.seq["alice"], "--as-of", shop.seq["gift"], "--json")
    movements = len(tollbook("statement", *words(shop)[1:], *part).json["lines"])
    assert tollbook(*words(shop, *part, "--out", out)).json == {
        "log": str(shop.log),
        "file": str(out),
        "movements": movements,
    }
    assert "alice on pro" in out.read_text()


def test_a_file_that_exists_or_a_format_that_does_not_is_2(tollbook, shop, tmp_path):
    there = tmp_path / "there.svg"
    there.write_text("mine")
    assert tollbook(*words(shop, "--out", there, "--json")).error["code"] == "exists"
    assert there.read_text() == "mine"
    assert "end it in .svg" in tollbook(*words(shop, "--out", tmp_path / "alice.gif", "--json")).error["hint"]
