"""Imports run one way.

Who wants to build otherwise changes the table here, on purpose.
"""

import pytest
import rooms

# Which rooms each room may import, from the top down; all of them the checks of single numbers.
TABLE = {
    "__main__": {"cli"},
    "cli": {"audit", "demo", "comparison", "experiments"},
    "demo": {"audit", "estimators", "diagnosis", "noise", "plotting"},
    "audit": {"estimators", "inputs", "datasets", "diagnosis", "naive_bayes"},
    "comparison": {"estimators", "peers", "datasets", "noise", "runs"},
    "experiments": {"estimators", "plotting", "recipes", "training", "inputs", "datasets", "detection", "runs"},
    "runs": set(),
    "plotting": {"detection", "datasets", "naive_bayes"},
    "estimators": {
        *("peers", "crossfit", "recipes", "phases", "presets", "training", "objectives", "inputs", "alpha"),
        *("detection", "mixture", "backbones", "diagnosis", "pickling", "rows", "facts", "ranks", "persistence"),
    },
    "persistence": {"recipes", "backbones"},
    "peers": {"phases", "presets", "objectives", "detection", "mixture"},
    "crossfit": {"phases", "objectives", "detection", "diagnosis", "evidence", "channel", "facts", "folds"},
    "evidence": {"channel"},
    "recipes": {"presets", "training", "augment", "backbones"},
    "phases": {"training", "objectives", "inputs", "diagnosis", "rows", "ranks"},
    "presets": {"training", "alpha"},
    "training": {"objectives", "inputs", "backbones", "rows", "ranks", "locks"},
    "objectives": {"alpha", "channel", "ranks"},
    "lightning": {"alpha"},
    "inputs": {"augment", "datasets", "folds", "rows"},
    "alpha": {"locks"},
    "detection": set(),
    "diagnosis": {"rows"},
    "mixture": set(),
    "naive_bayes": set(),
    "channel": {"facts"},
    "facts": set(),
    "folds": set(),
    "noise": set(),
    "augment": set(),
    "backbones": {"rows"},
    "datasets": set(),
    "ranks": set(),
    "rows": set(),
    "locks": set(),
    "checks": set(),
    "pickling": set(),
}
ALLOWED = {room: below | ({"checks"} - {room}) for room, below in TABLE.items()}
# The door names all that is inside, and nobody inside goes through it; the sandbox uses what is documented.
ALLOWED |= {"__init__": set(ALLOWED), "theory": {"__init__", "detection", "noise"}}


@pytest.fixture(scope="module")
def files():
    return rooms.modules()


@pytest.fixture(scope="module")
def imports(files):
    return rooms.imports(files)


def forbidden(imports, allowed):
    """Lines of the imports that a table does not have."""
    return [str(found) for (a, b), group in rooms.arrows(imports).items() for found in group if b not in allowed[a]]


# ---------------------------------------------------------------- directions


def test_the_table_has_all_rooms_and_no_circle(files):
    assert {rooms.room(name) for name in files} == ALLOWED.keys()
    assert rooms.circle((a, b) for a, below in ALLOWED.items() for b in below) == []
    order = [*TABLE]
    assert all(order.index(a) < order.index(b) for a, below in TABLE.items() for b in below)


def test_no_room_imports_what_the_table_does_not_have(imports):
    assert forbidden(imports, ALLOWED) == []


def test_who_imports_whom(imports):
    """What the table says, once more, so that nobody changes it in passing."""
    by = {room: {a for a, b in rooms.arrows(imports) if b == room} - {"__init__"} for room in ALLOWED}
    assert by["runs"] <= {"comparison", "experiments"}
    assert by["cli"] == {"__main__"}
    assert by["crossfit"] == {"estimators"}
    assert by["folds"] == {"crossfit", "inputs"}
    assert by["channel"] == {"crossfit", "evidence", "objectives"}
    assert by["persistence"] == {"estimators"}
    assert by["facts"] == {"channel", "crossfit", "estimators"}
    assert by["evidence"] == {"crossfit"}
    assert by["naive_bayes"] == {"audit", "plotting"}
    assert by["__main__"] == by["theory"] == set()
    assert by["__init__"] <= {"theory"}
    assert {b for a, b in rooms.arrows(imports) if a == "alpha"} <= {"checks", "locks"}


def test_no_file_at_the_top_is_private(files):
    names = {rooms.room(name) for name in files} - {"__init__", "__main__"}
    assert not [name for name in names if name.startswith("_")]


def test_no_modules_import_each_other(imports):
    assert rooms.circle((found.by, found.of) for found in imports if not found.is_for_types) == []


# ---------------------------------------------------------------- the reading itself, on a house that is built for it


@pytest.fixture
def small(tmp_path):
    """Write modules, and read their imports."""

    def build(**texts):
        for name, text in {"acestimator": "", **texts}.items():
            folder = tmp_path.joinpath(*name.split("__"))
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "__init__.py").write_text(text)
        return rooms.imports(rooms.modules(tmp_path))

    return build


UP = {"above": {"below"}, "below": set(), "__init__": {"above", "below"}}


@pytest.mark.parametrize(
    "text",
    [
        "import acestimator.above",
        "from acestimator import above",
        "from acestimator.above import anything",
        "from acestimator.above import inner",
        "from acestimator.above.inner import anything",
        "from .. import above",
        "from ..above import anything",
        "def later():\n    from acestimator.above import anything",
        "class A:\n    def f(self):\n        if self:\n            import acestimator.above as a, os",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from acestimator.above import anything",
        "try:\n    import os\nexcept ImportError:\n    from acestimator.above import anything",
        "from acestimator import something_of_the_door",
    ],
)
def test_an_arrow_that_runs_up_is_found(small, text):
    found = small(acestimator__above="", acestimator__above__inner="", acestimator__below=text)
    ((line),) = forbidden(found, UP)
    assert line.startswith("acestimator.below, line ")
    assert line.endswith((" imports acestimator.above", " imports acestimator.above.inner", " imports acestimator"))


def test_arrows_down_and_those_of_others_are_none(small):
    text = "import os, above\nfrom acestimator.below import x\nfrom acestimator.above import inner\nfrom . import inner"
    found = small(acestimator__above=text, acestimator__above__inner="", acestimator__below="from above import x")
    assert forbidden(found, UP) == []
    assert [str(one) for one in found] == [
        "acestimator.above, line 2, imports acestimator.below",
        "acestimator.above, line 3, imports acestimator.above.inner",
        "acestimator.above, line 4, imports acestimator.above.inner",
    ]


@pytest.mark.parametrize(
    ("text", "is_circle"),
    [
        ("from acestimator.a.y import f", True),
        ("def later():\n    from acestimator.a.y import f", True),
        ("from . import y", False),  # y of z's own folder
        ("from .. import y", True),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from acestimator.a.y import F", False),
        ("import typing\nif typing.TYPE_CHECKING:\n    import os\nelse:\n    from acestimator.a.y import F", True),
        ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    from acestimator.a.y import F", True),
    ],
)
def test_a_circle_inside_of_a_room_is_found_unless_it_is_of_types_alone(small, text, is_circle):
    x, y = "from acestimator.a.y import f", "from acestimator.a.z import f"
    found = small(acestimator__a="", acestimator__a__x=x, acestimator__a__y=y, acestimator__a__z=text)
    names = rooms.circle((one.by, one.of) for one in found if not one.is_for_types)
    assert {*names} == ({"acestimator.a.y", "acestimator.a.z"} if is_circle else set())


def test_a_circle_through_the_folder_s_own_names_is_found(small):
    found = small(acestimator__a="from acestimator.a.x import f", acestimator__a__x="from acestimator.a import g")
    assert rooms.circle((one.by, one.of) for one in found) == ["acestimator.a", "acestimator.a.x", "acestimator.a"]
