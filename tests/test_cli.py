"""``acestimator demo``."""

import base64
import io
import json
import re
import sys

import numpy as np
import pytest
from PIL import Image

from acestimator import cli
from acestimator.demo import run_demo


def test_demo_prints_both_accuracies_and_writes_the_picture(tmp_path, capsys):
    assert cli.main(["demo", "--out", str(tmp_path / "new")]) == 0
    printed = capsys.readouterr().out
    assert "test accuracy, plain training:" in printed
    assert "test accuracy, AutoCleansing:" in printed
    picture = tmp_path / "new" / "suspects.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert str(picture) in printed


def test_demo_writes_the_page_and_its_decisions_can_be_applied(tmp_path, capsys):
    pytest.importorskip("jinja2")
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert f"open {tmp_path / 'review.html'} in a browser" in printed
    page = content_of(tmp_path / "review.html")
    with np.load(tmp_path / "noisy_digits.npz") as file:
        X, y = file["X"], file["y"]
    suspects = [item for item in page["items"] if item["group"] == "suspect"]
    assert len(page["items"]) > len(suspects) > 200
    for item in page["items"][:20]:
        assert page["classes"][item["given"]] == str(y[item["row"]])
        shown = Image.open(io.BytesIO(base64.b64decode(item["image"].partition(",")[2]))).convert("L").reduce(12)
        assert np.abs(255 - np.asarray(shown) - X[item["row"], 0] * (255 / 16)).max() < 40  # of JPEG
    saved = [
        {
            **{key: item[key] for key in ("row", "id", "digest", "group", "stratum")},
            "given": str(y[item["row"]]),
            "decision": "relabel",
            "label": page["classes"][item["suggested"]],
        }
        for item in suspects[:100]
    ]
    decisions = {key: page[key] for key in ("source", "classes", "strata")} | {"decisions": saved}
    file = tmp_path / "decisions.json"
    file.write_text(json.dumps({"format": "acestimator decisions", "version": 1} | decisions))
    (command,) = re.findall(r"  acestimator (apply .+ --out .+)", printed)
    assert cli.main([str(file) if word == "decisions.json" else word for word in command.split()]) == 0
    with np.load(tmp_path / "clean_digits.npz") as copy:
        assert (copy["y"] != y).sum() == 100
        assert np.array_equal(copy["X"], X)


def test_demo_without_a_package_of_the_page_says_so_and_goes_on(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "jinja2", None)
    assert cli.main(["demo", "--out", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "review.html was not written: review.html is made with jinja2: pip install acestimator[audit]" in printed
    assert "in a browser" not in printed
    assert not (tmp_path / "review.html").exists()
    assert (tmp_path / "suspects.png").exists()


def content_of(path):
    """What a page shows."""
    block = path.read_text(encoding="utf-8").split('type="application/json"', 1)[1].split(">", 1)[1]
    return json.loads(block.split("</script>", 1)[0])["page"]


def test_demo_finds_most_of_what_was_corrupted(tmp_path):
    result = run_demo(tmp_path)
    assert result.n_train == 1257
    assert result.cleansed_accuracy > result.plain_accuracy + 0.05
    assert result.n_found > 0.9 * result.n_corrupted
    assert abs(result.estimated_noise_rate - result.noise_rate) < 0.08


def test_bad_arguments_end_with_a_message_and_status_2(tmp_path, capsys):
    assert cli.main(["demo", "--rate", "-0.2", "--out", str(tmp_path)]) == 2
    assert "rate is -0.2, expected a probability" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    assert cli.main(["demo", "--out", str(tmp_path / "file")]) == 2
    assert "file" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        cli.main(["unknown"])
