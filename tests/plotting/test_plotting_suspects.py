"""The gallery shows the highest scores, with their labels, names, and what speaks against the labels."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
from scipy import sparse

from acestimator import AutoCleansingClassifier, BaselineClassifier, SuspectsDisplay
from acestimator.datasets import ImageFolder
from acestimator.plotting.table import draw_table


def quick(**parameters):
    return AutoCleansingClassifier(**{"max_epochs": 20, "random_state": 0, **parameters})


@pytest.fixture(scope="module")
def noisy():
    """Two clouds apart in the second of three columns, with 10 wrong labels of 120."""
    rng = np.random.RandomState(0)
    codes = np.arange(120) % 2
    X = rng.normal(size=(120, 3)) + 8.0 * codes[:, None] * np.array([0, 1, 0])
    y = np.array(["ape", "bee"])[np.where(np.arange(120) < 10, 1 - codes, codes)]
    return X, y, quick().fit(X, y)


def texts(display):
    """Rows of a drawn table."""
    (table,) = display.axes_[0].tables
    found = table.get_celld()
    n_rows, n_columns = (1 + max(key[axis] for key in found) for axis in (0, 1))
    return [[found[i, j].get_text().get_text() for j in range(n_columns)] for i in range(n_rows)]


def test_suspects_are_the_highest_scores_with_their_labels(fitted):
    clf, X, y = fitted
    display = SuspectsDisplay.from_estimator(clf, X, y, n_suspects=10, image_shape=(8, 8))
    order = np.argsort(-clf.mislabel_scores_, kind="stable")[:10]  # log-odds end at 20: the first may tie
    np.testing.assert_array_equal(display.positions, order)
    for rank, (ax, i) in enumerate(zip(display.axes_.flat, order, strict=False), start=1):
        assert ax.get_title() == f"{rank}.  position {i}"
        assert ax.get_xlabel().startswith(f"{y[i]} → {clf.suggested_labels_[i]}")
    np.testing.assert_array_equal(display.axes_.flat[3].images[0].get_array(), X[order[3]].reshape(8, 8))


def display_of(proba, given=None, suggested=None, **parameters):
    n = len(proba)
    return SuspectsDisplay(
        np.zeros((n, 4, 4)),
        positions=np.arange(n),
        given=np.array(["a"] * n) if given is None else given,
        suggested=np.array(["b"] * n) if suggested is None else suggested,
        proba=np.array(proba),
        **parameters,
    ).plot()


def test_a_probability_that_all_have_is_said_once():
    alike = display_of([1.0, 0.9999, 0.99901])
    assert [ax.get_xlabel() for ax in alike.axes_.flat] == ["a → b"] * 3
    assert alike.figure_.get_suptitle().endswith("is wrong with probability > 99.9 %")
    various = display_of([1.0, 0.97, 0.00001])
    assert [ax.get_xlabel() for ax in various.axes_.flat] == ["a → b\n> 99.9 %", "a → b\n97.0 %", "a → b\n< 0.1 %"]
    assert "%" not in various.figure_.get_suptitle()


def test_what_is_not_suggested_is_asked():
    given = np.array(["a", "a", "a"])
    display = display_of([0.9, 0.8, 0.2], given, given, predicted=np.array(["b", "a", "b"]))
    assert [ax.get_xlabel().split("\n")[0] for ax in display.axes_.flat] == ["a → b?", "a → ?", "a (kept)"]


@pytest.mark.filterwarnings("error")
def test_long_and_hostile_names_stay_inside_of_their_cells():
    classes = ["soft-coated wheaten terrier of the " * 3, "$x_{1$ <script>", "y" * 300, "", "a\nb"]
    given = np.arange(5)
    display = display_of(
        [0.9] * 5, given, (given + 1) % 5, class_names=classes, names=[f"photos/{'z' * 90}/{i}.png" for i in range(5)]
    )
    display.figure_.canvas.draw()
    for i, ax in enumerate(display.axes_.flat):
        assert ax.get_title().endswith(f"z/{i}.png")
        cell = ax.get_position().width * display.figure_.get_figwidth() * display.figure_.dpi
        for text in (ax.title, ax.xaxis.label):
            assert text.get_window_extent().width <= 1.15 * cell
        assert len(ax.get_xlabel().split("\n")) <= 7


def test_suspects_of_a_folder_are_called_by_their_files_and_classes(tmp_path):
    images = pytest.importorskip("PIL.Image")
    rng = np.random.RandomState(0)
    for i in range(24):
        path = tmp_path / ("red", "blue")[i % 2] / "below" / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        images.fromarray(rng.randint(0, 255, size=(12, 10, 3)).astype(np.uint8)).save(path)
    folder = ImageFolder(tmp_path, 8)
    clf = quick(max_epochs=1).fit(folder, folder.labels)
    display = SuspectsDisplay.from_estimator(clf, folder, folder.labels, n_suspects=5)
    assert display.samples.shape == (5, 8, 8, 3)
    for rank, (ax, i) in enumerate(zip(display.axes_.flat, display.positions, strict=True), start=1):
        assert ax.get_title() == f"{rank}.  {folder.name(i)}"
        assert ax.get_xlabel().startswith(folder.classes[folder.labels[i]])
        np.testing.assert_array_equal(ax.images[0].get_array(), folder.read([i])[0].permute(1, 2, 0))
    names = np.array(folder.classes)[folder.labels]
    by_name = SuspectsDisplay.from_estimator(quick(max_epochs=1).fit(folder, names), folder, names, n_suspects=1)
    assert by_name.axes_[0, 0].get_xlabel().startswith(("red", "blue"))


@pytest.mark.parametrize("form", [np.array, sparse.csr_array, sparse.coo_matrix, pd.DataFrame, pl.DataFrame, list])
def test_of_a_table_the_column_that_tells_comes_first(noisy, form):
    X, y, clf = noisy
    frame = form in (pd.DataFrame, pl.DataFrame)
    table = form(dict(zip("abc", X.T, strict=True))) if frame else form(X)
    display = SuspectsDisplay.from_estimator(
        clf,
        table,
        y,
        n_suspects=10,
        feature_names=None if frame else list("abc"),
        names=[f"row {i}" for i in range(120)],
    )
    rows = texts(display)
    assert rows[0][1:3] == ["sample", "given → suggested"]
    assert rows[0][-3].startswith("speaks most against the given label")
    assert {row[1] for row in rows[1:]} == {f"row {i}" for i in range(10)}
    for rank, (row, i) in enumerate(zip(rows[1:], display.positions, strict=True), start=1):
        assert row[0] == f"{rank}."
        other = "bee" if y[i] == "ape" else "ape"
        assert row[2] in (f"{y[i]} → {other}", f"{y[i]} → {other}?")
        same = (y == y[i]) & (clf.mislabel_proba_ <= 0.5)
        value, usual = row[-3].removeprefix("b = ").split("  ")
        assert float(value) == pytest.approx(X[i, 1], rel=1e-3)
        mean, std = map(float, usual.strip("()").split(" ± "))
        assert mean == pytest.approx(X[same, 1].mean(), rel=0.01, abs=0.01)
        assert std == pytest.approx(X[same, 1].std(), rel=0.06)
        assert display.cells[display.positions.tolist().index(i)][0].departs


@pytest.mark.parametrize("zone", [None, "Europe/Berlin"])
def test_of_a_pipeline_s_last_step_the_columns_as_people_have_them(noisy, zone):
    X, y, clf = noisy
    codes = np.arange(120) % 2
    frame = pd.DataFrame(
        {
            "colour": np.where(codes == 1, "red", "blue"),
            "since": pd.Timestamp("2020-01-01", tz=zone) + pd.to_timedelta(1000 * codes + np.arange(120), unit="D"),
            "text": [f"text {i}" for i in range(120)],
            "gap": pd.array([None] * 120, dtype="Int64"),
            "member": codes == 1,
            "wait": pd.to_timedelta(X[:, 1], unit="D"),
            "noise": X[:, 0],
        }
    )
    frame.loc[::7, "colour"] = None
    display = SuspectsDisplay.from_estimator(clf, frame, y, n_suspects=10)
    telling = {"colour", "since", "member", "wait"}
    found = [cell for cells in display.cells for cell in cells]
    assert {cell.column for cell in found} <= telling
    assert {cell.value for cell in found if cell.column == "colour"} <= {"red", "blue"}
    for cell in found:
        if cell.column in ("colour", "member"):
            assert cell.usual.startswith("in ")
        if cell.column == "since":
            assert cell.value[:2] == cell.usual[:2] == "20"
            assert cell.usual.endswith(" days")
    display.figure_.canvas.draw()


def test_suspects_of_a_series_have_its_labels(noisy):
    X, y, _ = noisy
    codes = pd.Series((y == "bee").astype(int), dtype="Int64")
    for clf in (quick(), BaselineClassifier("trimmed", max_epochs=20, random_state=0)):
        display = SuspectsDisplay.from_estimator(clf.fit(X, codes), X, codes, n_suspects=5)
        assert {row[2] for row in texts(display)[1:]} <= {"0 → 1", "1 → 0", "0 → 1?", "1 → 0?", "0 (kept)", "1 (kept)"}


def test_a_display_without_cells_shows_the_first_columns():
    display = SuspectsDisplay(
        np.arange(10.0).reshape(2, 5),
        positions=np.array([7, 3]),
        given=np.array([0, 1]),
        suggested=np.array([1, 1]),
        proba=np.array([0.9, 0.2]),
        feature_names=list("abcde"),
    ).plot()
    assert texts(display)[1:] == [
        ["1.", "position 7", "0 → 1", "90.0 %", "a = 0.0", "b = 1.0", "c = 2.0"],
        ["2.", "position 3", "1 (kept)", "20.0 %", "a = 5.0", "b = 6.0", "c = 7.0"],
    ]


@pytest.mark.parametrize("n_suspects", [0, 1, 3])
def test_few_suspects(noisy, n_suspects):
    X, y, clf = noisy
    assert len(texts(SuspectsDisplay.from_estimator(clf, X, y, n_suspects=n_suspects))) == 1 + n_suspects
    images = X[:, :, None, None].repeat(4, axis=2).transpose(0, 3, 1, 2)
    SuspectsDisplay.from_estimator(clf, images, y, n_suspects=n_suspects).figure_.canvas.draw()


def test_texts_of_a_table_are_inside_of_their_cells():
    rows = [["1.", "one\ntwo lines", "x = 3"], ["2.", "m" * 20], ["3.", "$i_{", "l" * 20, "W" * 30]]
    figure, ax = draw_table(["", "a", "a long text over all columns that are left"], rows, [["0"] * 4] * 4)
    figure.canvas.draw()
    for key, cell in ax.tables[0].get_celld().items():
        box, text = cell.get_window_extent(), cell.get_text().get_window_extent()
        assert text.height <= box.height
        assert text.x0 >= box.x0
        if key[0]:
            assert text.x1 <= box.x1
    assert ax.tables[0][0, 2].get_text().get_window_extent().x1 <= figure.bbox.x1


@pytest.mark.parametrize(("channels", "dtype"), [(1, np.float32), (3, np.uint8), (3, np.float64)])
def test_suspects_of_images(channels, dtype):
    rng = np.random.RandomState(0)
    X, y = (255 * rng.uniform(size=(12, channels, 8, 6))).astype(dtype), np.arange(12) % 2
    clf = quick(max_epochs=1).fit(X, y)
    display = SuspectsDisplay.from_estimator(clf, X, y, n_suspects=3)
    assert display.samples.shape == ((3, 8, 6) if channels == 1 else (3, 8, 6, 3))
    display.figure_.canvas.draw()


def test_errors(fitted):
    clf, X, y = fitted
    with pytest.raises(ValueError, match="y has 3 samples and the estimator was fitted on 1257"):
        SuspectsDisplay.from_estimator(clf, X, y[:3])
    with pytest.raises(ValueError, match="names has 1 samples and the estimator was fitted on 1257"):
        SuspectsDisplay.from_estimator(clf, X, y, names=["a"])
    with pytest.raises(ValueError, match=r"shape \(64,\), which is no image of shape \(9, 9\)"):
        SuspectsDisplay.from_estimator(clf, X, y, image_shape=(9, 9))
    with pytest.raises(ValueError, match="n_suspects is -3, expected an integer of at least 0"):
        SuspectsDisplay.from_estimator(clf, X, y, n_suspects=-3)
    with pytest.raises(ValueError, match="feature_names has 2 names and X has 64 columns"):
        SuspectsDisplay.from_estimator(clf, X, y, feature_names=["a", "b"])
    with pytest.raises(ValueError, match=r"samples have shape \(24,\), expected rows of a table"):
        SuspectsDisplay.from_estimator(clf, X[:, 0], y)


def test_a_label_without_a_name_is_an_error_and_never_has_another_s(noisy):
    """-1 is no last one."""
    X, y, _ = noisy
    signs = np.where(y == "bee", 1, -1)
    clf = quick().fit(X, signs)
    message = "class_names has 2 names, of the labels 0 to 1, and y has labels from -1 to 1"
    with pytest.raises(ValueError, match=message):
        SuspectsDisplay.from_estimator(clf, X, signs, class_names=["no", "yes"])
    assert (
        display_of([0.9], np.array([-1]), np.array([2]), class_names=["no", "yes"]).axes_[0, 0].get_xlabel() == "-1 → 2"
    )


def test_labels_of_no_letters_and_of_two_lines_stay_on_one():
    display = display_of([0.9], np.array(["a\nb"]), np.array([""]))
    assert display.axes_[0, 0].get_xlabel() == "a b → ''"
