"""The commands, from a file to a corrected one."""

import csv
import json

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs

from acestimator.cli import main

pd = pytest.importorskip("pandas")
pytest.importorskip("skrub")
pytest.importorskip("jinja2")
NAMES = np.array(["bronze", "gold", "silver"])


@pytest.fixture(scope="module")
def table():
    """Frame of three clusters with what people have besides, and the right labels; a tenth of the given are wrong."""
    rng = np.random.default_rng(0)
    X, y = make_blobs(240, centers=3, n_features=4, cluster_std=0.7, random_state=1)
    frame = pd.DataFrame(X, columns=["age", "income", "visits", "debt"]).round(3)
    frame.loc[rng.random(240) < 0.1, "income"] = np.nan
    frame["city"] = rng.choice(["Rome", "Oslo"], 240)
    frame["since"] = [f"2024-{1 + i % 12:02d}-{1 + i % 28:02d}" for i in range(240)]
    frame.insert(0, "customer", [f"C-{i:04d}" for i in rng.permutation(240)])
    given = y.copy()
    wrong = rng.choice(240, 24, replace=False)
    given[wrong] = (y[wrong] + rng.integers(1, 3, 24)) % 3
    frame["segment"] = NAMES[given]
    return frame, NAMES[y]


@pytest.fixture
def source(table, tmp_path, monkeypatch):
    """``customers.csv`` in the current folder."""
    monkeypatch.chdir(tmp_path)
    table[0].to_csv("customers.csv")
    return tmp_path / "customers.csv"


def test_from_a_file_to_a_corrected_one(source, table, capsys):
    before = source.read_bytes()
    assert main(["audit", "customers.csv", "--label", "segment", "--id", "customer"]) == 0
    told = capsys.readouterr().out
    assert "likelier wrong than right" in told
    assert "'Unnamed: 0': it numbers the rows" in told
    assert "'customer': it names the rows" in told
    assert "acestimator apply customers.csv decisions.json --out customers.clean.csv" in told
    rows = list(csv.DictReader((source.parent / "audit/label_issues.csv").read_text().splitlines()))
    assert [row["id"] for row in rows] == table[0]["customer"].tolist()
    assert [row["given_label"] for row in rows] == table[0]["segment"].tolist()
    summary = json.loads((source.parent / "audit/summary.json").read_text())
    assert summary["n_labelled"] == 240
    assert summary["settings"]["seed"] == 0
    assert main(["apply", "customers.csv", "audit", "--all-suggested", "--out", "clean.csv"]) == 0
    right = table[1]
    clean = pd.read_csv("clean.csv")
    assert (clean["segment"] == right).mean() > (table[0]["segment"] == right).mean()
    more = ["apply", "customers.csv", "audit", "--all-suggested", "--above", "0.5", "--out", "more.csv"]
    assert main(more) == 0
    assert (pd.read_csv("more.csv")["segment"] == right).mean() > 0.98
    assert clean.drop(columns="segment").equals(pd.read_csv("customers.csv").drop(columns="segment"))
    assert source.read_bytes() == before


def test_the_page_holds_what_was_found(source):
    assert main(["audit", "customers.csv", "--label", "segment", "--top", "10", "--quiet"]) == 0
    html = (source.parent / "audit/review.html").read_text()
    block = html.split('type="application/json"', 1)[1].split(">", 1)[1].split("</script>", 1)[0]
    items = json.loads(block)["page"]["items"]
    assert sum(item["group"] == "suspect" for item in items) <= 10
    assert sum(item["group"] == "random" for item in items) >= 50
    columns = {name for name, _, _ in items[0]["cells"]}
    assert columns == set(pd.read_csv("customers.csv").columns) - {"segment"}


def test_the_same_audit_twice_is_the_same(source):
    for out in ("one", "two"):
        assert main(["audit", "customers.csv", "--label", "segment", "--quiet", "--out", out]) == 0
    for name in ("review.html", "label_issues.csv", "summary.json"):
        assert (source.parent / "one" / name).read_bytes() == (source.parent / "two" / name).read_bytes()


def test_rows_without_a_label_get_a_predicted_one(source, table, capsys):
    frame = table[0].copy()
    frame.loc[:19, "segment"] = None
    frame.to_csv("customers.csv", index=False)
    assert main(["audit", "customers.csv", "--label", "segment"]) == 0
    assert "20 rows have no label, and got a predicted one" in capsys.readouterr().out
    issues = pd.read_csv("audit/label_issues.csv")
    assert issues["given_label"][:20].isna().all()
    assert (issues["suggested_label"][:20] == table[1][:20]).mean() > 0.9


def test_a_build_fails_where_too_many_are_wrong_by_the_lower_bound(source):
    common = ["audit", "customers.csv", "--label", "segment", "--quiet"]
    assert main([*common, "--fail-above", "0.02"]) == 1
    assert main([*common, "--fail-above", "0.5"]) == 0


def test_texts(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    words = {"pets": ["cat", "dog", "fur", "paw"], "cars": ["wheel", "motor", "road", "seat"]}
    kinds = rng.choice(list(words), 200)
    texts = [" ".join(rng.choice([*words[kind], "the", "a", "one"], 8)) for kind in kinds]
    given = kinds.copy()
    given[:10] = np.where(kinds[:10] == "pets", "cars", "pets")
    pd.DataFrame({"text": texts, "kind": given}).to_json("notes.jsonl", orient="records", lines=True)
    assert main(["audit", "notes.jsonl", "--label", "kind", "--export", "labelstudio", "--quiet"]) == 0
    issues = pd.read_csv("audit/label_issues.csv")
    assert (issues["suggested_label"] == kinds).mean() > 0.97
    tasks = json.loads((tmp_path / "audit/labelstudio.json").read_text())
    assert tasks[0]["data"]["text"] in texts


def test_images_of_which_one_is_broken(tmp_path, monkeypatch, capsys):
    Image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    X, y = load_digits(n_class=2, return_X_y=True)
    for i in range(240):
        folder = tmp_path / "photos" / str(y[i] if i >= 5 else 1 - y[i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((X[i].reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{i:03d}.png")
    (tmp_path / "photos/1/broken.png").write_bytes(b"no image")
    assert main(["audit", "photos"]) == 0
    told = capsys.readouterr().out
    assert "1 file could not be read" in told
    assert "1/broken.png" in told
    issues = pd.read_csv("audit/label_issues.csv", dtype=str)
    assert issues.set_index("name").loc["1/broken.png", "mislabel_probability"] is np.nan
    found = issues[issues["given_label"] != issues["suggested_label"]]["name"]
    assert {name[-7:-4] for name in found} >= {"000", "001", "002"}
    assert main(["apply", "photos", "audit", "--all-suggested", "--above", "0.5", "--out", "clean", "--quiet"]) == 0
    assert (tmp_path / f"clean/{y[0]}/000.png").exists()


def test_arrays(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    X, y = make_blobs(150, centers=3, random_state=0, cluster_std=0.5)
    np.savez("samples.npz", X=X.astype(np.float32), y=y)
    assert main(["audit", "samples.npz", "--quiet"]) == 0
    assert len(pd.read_csv("audit/label_issues.csv")) == 150


@pytest.mark.parametrize(
    ("change", "arguments", "words"),
    [
        (None, ["--label", "segmnt"], "did you mean 'segment'"),
        (None, ["--label", "segment", "--drop", "agee"], "did you mean 'age'"),
        (None, ["--label", "age"], "expected a few that come again"),
        (None, [], "--label"),
        (lambda frame: frame.assign(segment="gold"), ["--label", "segment"], "one label 'gold'"),
        (lambda frame: frame[["segment"]].assign(one=1), ["--label", "segment"], "no column is left"),
        (lambda frame: frame.assign(customer="x"), ["--label", "segment", "--id", "customer"], "more than once"),
    ],
)
def test_bad_input_is_one_line_and_writes_nothing(source, table, capsys, change, arguments, words):
    if change is not None:
        change(table[0]).to_csv("customers.csv", index=False)
    assert main(["audit", "customers.csv", *arguments, "--out", "new", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not (source.parent / "new").exists()


def test_a_folder_of_something_else_is_not_written_over(source, capsys):
    (source.parent / "audit").mkdir()
    (source.parent / "audit/summary.json").write_text("{}")
    assert main(["audit", "customers.csv", "--label", "segment", "--quiet"]) == 2
    assert "no audit has written" in capsys.readouterr().err
    assert (source.parent / "audit/summary.json").read_text() == "{}"


def test_an_interrupt_leaves_nothing_half_written(source, capsys, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("acestimator.audit.run.find", interrupted)
    assert main(["audit", "customers.csv", "--label", "segment"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (source.parent / "audit").exists()


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("acestimator ")
