"""The commands, from a file to a corrected one."""

import csv
import gzip
import json
import signal
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_blobs

from acestimator.audit.command import copy_of
from acestimator.audit.sources import open_source
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


def test_a_termination_is_an_interrupt(source, capsys, monkeypatch):
    monkeypatch.setattr("acestimator.audit.run.find", lambda *_, **__: signal.raise_signal(signal.SIGTERM))
    before = signal.getsignal(signal.SIGTERM)
    assert main(["audit", "customers.csv", "--label", "segment"]) == 130
    assert "nothing was written" in capsys.readouterr().err
    assert not (source.parent / "audit").exists()
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("name", ["t.csv", "t.CSV", "t.csv.gz", "t.jsonl", "t.npz", "X.npy", "pets", "pets.v2", "."])
def test_the_copy_that_is_proposed_can_be_written(tmp_path, monkeypatch, name):
    folder = tmp_path / "in"
    folder.mkdir()
    monkeypatch.chdir(folder)
    rows = [(i, "ab"[i % 2]) for i in range(4)]
    if "csv" in name.lower():
        content = "".join(f"{x},{y}\n" for x, y in [("x", "y"), *rows]).encode()
        (folder / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    elif name == "t.jsonl":
        (folder / name).write_text("".join(json.dumps({"x": x, "y": y}) + "\n" for x, y in rows))
    elif name in ("t.npz", "X.npy"):
        np.savez(folder / "t.npz", X=np.ones((4, 2)), y=[*"abab"])
        np.save(folder / "X.npy", np.ones((4, 2)))
        np.save(folder / "y.npy", [*"abab"])
    else:
        for x, y in rows:
            (folder / name / y).mkdir(parents=True, exist_ok=True)
            (folder / name / y / f"{x}.png").touch()
    source = Path(name)
    is_table = name.startswith("t.") and name != "t.npz"
    copy = copy_of(source)
    open_source(source, label="y" if is_table else None).write({}, copy)
    assert "clean" in copy.name
    assert copy.resolve().parent == source.resolve().parent


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["audit", "customers.csv", "--label", "segment", "--image-size", "32"], "has none: leave it out"),
        (["apply", "customers.csv", "audit", "--all-suggested", "--id", "customer"], "--id is for decisions alone"),
        (["apply", "customers.csv", "decisions.json", "--above", "0.9"], "--above is for --all-suggested alone"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(source, capsys, arguments, words):
    assert main([*arguments, "--out", "new.csv"]) == 2
    assert words in capsys.readouterr().err
    assert not (source.parent / "new.csv").exists()


def test_version(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--version"])
    assert stop.value.code == 0
    assert capsys.readouterr().out.startswith("acestimator ")


# --- a second round ---


def page_of(folder):
    """What the page of an audit holds."""
    block = (folder / "review.html").read_text().split('type="application/json"', 1)[1].split(">", 1)[1]
    return json.loads(block.split("</script>", 1)[0])["page"]


def decided_on(page, right, n=40, words=None):
    """``decisions.json`` of a reviewer who knows the right labels, and looks at the first rows of a page."""
    decisions = []
    for item in page["items"][:n]:
        given = None if item["given"] is None else page["classes"][item["given"]]
        word, label = ("keep", None) if given == right[item["row"]] else ("relabel", right[item["row"]])
        word, label = (words or {}).get(item["row"], (word, label))
        fields = {name: item[name] for name in ("row", "id", "digest", "group", "stratum")}
        decisions.append({**fields, "given": given, "decision": word, "label": label})
    parts = {"source": page["source"], "classes": page["classes"], "strata": page["strata"]}
    return {"format": "acestimator decisions", "version": 1, **parts, "decisions": decisions + page["decided"]}


def test_a_second_audit_learns_from_what_was_decided(source, table, capsys):
    frame, right = table
    audit = ["audit", "customers.csv", "--label", "segment"]
    assert main([*audit, "--quiet"]) == 0
    page = page_of(source.parent / "audit")
    assert page["decided"] == []
    shown = [item["row"] for item in page["items"]]
    words = {shown[3]: ("drop", None), shown[5]: ("unsure", None), shown[7]: ("relabel", "copper")}
    content = decided_on(page, right, words=words)
    (source.parent / "decisions.json").write_text(json.dumps(content))
    capsys.readouterr()
    assert main([*audit, "--reviewed", "decisions.json", "--out", "second"]) == 0
    said = capsys.readouterr().out
    wrong = [one for one in content["decisions"] if one["decision"] in ("relabel", "drop")]
    assert f"39 labels were decided, and {len(wrong)} of them wrong. 1 row was dropped and 1 row was left open." in said
    assert "drawn at random" in said
    assert "of all 240 labels were wrong before the review" in said

    issues = pd.read_csv("second/label_issues.csv", keep_default_na=False)
    for one in content["decisions"]:
        row = issues.iloc[one["row"]]
        assert row["decision"] == one["decision"]
        assert row["given_label"] == one["given"]
        if one["decision"] == "relabel":
            assert (row["suggested_label"], row["mislabel_probability"]) == (one["label"], "1")
        elif one["decision"] == "keep":
            assert (row["suggested_label"], row["mislabel_probability"]) == (one["given"], "0")
        elif one["decision"] == "drop":
            assert row["mislabel_probability"] == ""
    summary = json.loads((source.parent / "second/summary.json").read_text())
    low, high = summary["review"]["interval"]
    true = (frame["segment"].to_numpy() != right).mean()
    assert low <= true <= high
    assert summary["review"]["n_decided"] == 39

    second = page_of(source.parent / "second")
    closed = {one["row"] for one in content["decisions"] if one["decision"] != "unsure"}
    again = [item["row"] for item in second["items"]]
    assert not closed & set(again)
    assert {one["row"] for one in second["decided"]} >= closed
    assert {one["stratum"] for one in second["decided"]} == {None}
    assert sum(stratum["n_rows"] for stratum in second["strata"]) == 240 - len(closed)
    assert "copper" in second["classes"]

    # The file of the second page holds both rounds: it is applied, and learned from again.
    last = decided_on(second, right)
    (source.parent / "last.json").write_text(json.dumps(last))
    assert main(["apply", "customers.csv", "last.json", "--out", "clean.csv", "--quiet"]) == 0
    assert len(pd.read_csv("clean.csv")) == 239
    assert main([*audit, "--reviewed", "last.json", "--out", "third", "--quiet"]) == 0
    third = json.loads((source.parent / "third/summary.json").read_text())["review"]
    assert third["n_decided"] == sum(one["decision"] != "unsure" for one in last["decisions"])
    assert third["n_labels"] == 240
    assert third["interval"][0] <= true <= third["interval"][1]


def test_suggestions_go_with_what_was_decided(source, table):
    _, right = table
    audit = ["audit", "customers.csv", "--label", "segment", "--quiet"]
    assert main(audit) == 0
    page = page_of(source.parent / "audit")
    shown = [item["row"] for item in page["items"]]
    words = {shown[0]: ("keep", None), shown[1]: ("drop", None), shown[2]: ("relabel", "copper")}
    (source.parent / "decisions.json").write_text(json.dumps(decided_on(page, right, 3, words)))
    assert main([*audit, "--reviewed", "decisions.json"]) == 0
    assert (
        main(["apply", "customers.csv", "audit", "--all-suggested", "--above", "0.5", "--out", "c.csv", "--quiet"]) == 0
    )
    before, clean = (pd.read_csv(name, index_col=0)["segment"] for name in ("customers.csv", "c.csv"))
    assert clean[shown[0]] == before[shown[0]]
    assert shown[1] not in clean.index
    assert clean[shown[2]] == "copper"
    assert (clean.drop(shown[:3], errors="ignore") == right[clean.drop(shown[:3], errors="ignore").index]).mean() > 0.97


def test_a_build_fails_by_what_was_drawn_at_random(source, table):
    """By the network a tenth is wrong; by a reviewer who finds each row drawn at random wrong, more than half."""
    audit = ["audit", "customers.csv", "--label", "segment", "--quiet"]
    assert main([*audit, "--fail-above", "0.4"]) == 0
    page = page_of(source.parent / "audit")
    given = [page["classes"][item["given"]] for item in page["items"]]
    others = {
        item["row"]: ("relabel", NAMES[(name == NAMES).argmax() - 1])
        for item, name in zip(page["items"], given, strict=True)
    }
    (source.parent / "decisions.json").write_text(json.dumps(decided_on(page, table[1], len(given), others)))
    assert main([*audit, "--reviewed", "decisions.json", "--fail-above", "0.4"]) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda content: content["decisions"][0].update(given="gilt"), "has the label"),
        (lambda content: content["source"].update(fingerprint="sha256:" + "0" * 64), "match rows by a column of ids"),
        (lambda content: content["source"].update(label="city"), "about labels 'city'"),
        (lambda content: content.update(version=7), "has version 7 of the format"),
    ],
)
def test_decisions_of_something_else_are_refused_in_one_line(source, table, capsys, change, words):
    audit = ["audit", "customers.csv", "--label", "segment", "--quiet"]
    assert main(audit) == 0
    content = decided_on(page_of(source.parent / "audit"), table[1], 5)
    change(content)
    (source.parent / "decisions.json").write_text(json.dumps(content))
    assert main([*audit, "--reviewed", "decisions.json", "--out", "new"]) == 2
    error = capsys.readouterr().err
    assert words in error
    assert len(error.strip().splitlines()) == 1
    assert not list(source.parent.glob("new/*"))


def test_a_corrected_file_knows_what_was_decided_by_its_ids(source, table):
    audit = ["--label", "segment", "--id", "customer", "--quiet"]
    assert main(["audit", "customers.csv", *audit]) == 0
    content = decided_on(page_of(source.parent / "audit"), table[1])
    (source.parent / "decisions.json").write_text(json.dumps(content))
    assert main(["apply", "customers.csv", "decisions.json", "--out", "clean.csv", "--quiet"]) == 0
    lines = (source.parent / "clean.csv").read_text().splitlines()
    (source.parent / "clean.csv").write_text("\n".join([lines[0], *lines[:0:-1]]) + "\n")  # the last row first
    assert main(["audit", "clean.csv", *audit, "--reviewed", "decisions.json", "--out", "second"]) == 0
    issues = pd.read_csv("second/label_issues.csv", keep_default_na=False).set_index("id")
    for one in content["decisions"]:
        row = issues.loc[one["id"]]
        label = one["label"] or one["given"]
        assert (row["decision"], row["given_label"], row["suggested_label"]) == (one["decision"], label, label)
        assert row["mislabel_probability"] == 0
    summary = json.loads((source.parent / "second/summary.json").read_text())
    assert summary["review"]["interval"] is None  # the draw was from another file
    assert main(["audit", "clean.csv", "--label", "segment", "--reviewed", "decisions.json", "--out", "third"]) == 2


def test_images_that_were_decided(tmp_path, monkeypatch):
    Image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    X, y = load_digits(n_class=2, return_X_y=True)
    right = {}
    for i in range(160):
        folder = tmp_path / "photos" / str(y[i] if i >= 8 else 1 - y[i])
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((X[i].reshape(8, 8) * 15).astype(np.uint8)).save(folder / f"{i:03d}.png")
        right[f"{i:03d}.png"] = str(y[i])
    (tmp_path / "photos/1/broken.png").write_bytes(b"no image")
    assert main(["audit", "photos", "--quiet"]) == 0
    page = page_of(tmp_path / "audit")
    by_row = {item["row"]: right[item["name"][2:]] for item in page["items"]}
    (tmp_path / "decisions.json").write_text(json.dumps(decided_on(page, by_row, 20)))
    assert main(["audit", "photos", "--reviewed", "decisions.json", "--quiet", "--out", "second"]) == 0
    assert json.loads((tmp_path / "second/summary.json").read_text())["review"]["n_decided"] == 20
    assert not {item["row"] for item in page["items"][:20]} & {
        item["row"] for item in page_of(tmp_path / "second")["items"]
    }
