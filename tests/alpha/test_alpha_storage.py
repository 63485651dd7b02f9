"""Tables in files and in 16 bits, tables that grow, and tables that are saved and go on."""

import copy
import errno
import io
import os
import pickle
import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motions import MOTIONS
from tables import private_table

from acestimator import AlphaTable
from acestimator.alpha import transfer
from acestimator.alpha.header import MAGIC
from acestimator.alpha.rounding import stochastic_round

N, K = 9, 6
LABELS = torch.arange(N) % K
TABLES = {
    **MOTIONS,
    "AC2": {"variant": "AC2", "momentum": 0.9},
    "sparse": {"rivals": 2, "momentum": 0.9},
    "bfloat16": {"dtype": torch.bfloat16, "momentum": 0.9, "weight_decay": 0.01},
    "float16": {"dtype": torch.float16, "penalty": ("l2", 0.1)},
    "float64": {"dtype": torch.float64, "momentum": 0.9},
    "ids": {"ids": torch.arange(N) * 7 - 20, "momentum": 0.9},
}


def make(name, window=None, **more):
    parameters = {"labels": LABELS, "lr": 0.3, **TABLES[name], **more}
    return AlphaTable(N, K, **parameters) if window is None else private_table(N, K, window=window, **parameters)


def run(table, steps, seed=0):
    """Steps over random samples, with repeats; the same for all tables of N samples."""
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        index = torch.randint(N, (4,), generator=generator)
        grad = torch.randn(4, K, generator=generator)
        name = index if table._ids is None else torch.from_numpy(table._ids.values)[index]
        table.rows(name)
        table.step(name, grad, 0.1 + 0.4 * float(torch.rand((), generator=generator)))
    return table


def arrays(table):
    return {name: array.clone() for name, array in table.state_dict()["arrays"].items()}


def assert_same(table, other):
    for name, array in arrays(other).items():
        assert torch.equal(table.state_dict()["arrays"][name], array), name
    assert table.clock == other.clock
    assert torch.equal(table.dense(), other.dense())


# ---------------------------------------------------------------------- state


@pytest.mark.parametrize("name", TABLES)
def test_a_saved_table_goes_on_bit_for_bit(name):
    whole = run(run(make(name), 300), 300, seed=1)
    first = run(make(name), 300)
    file = io.BytesIO()
    torch.save(first.state_dict(), file)
    file.seek(0)
    second = make(name, seed=5)
    second.load_state_dict(torch.load(file, weights_only=True))
    assert_same(run(second, 300, seed=1), whole)


@pytest.mark.parametrize("name", ["momentum", "all", "AC2", "sparse", "bfloat16"])
def test_sweeps_go_on_bit_for_bit_too(name, tmp_path):
    """From a state, and from a file; saved at each of the steps between two sweeps."""
    for steps in range(20, 28):
        second = make(name, window=4)
        second.load_state_dict(copy.deepcopy(run(make(name, window=4), steps).state_dict()))
        run(make(name, window=4, file=tmp_path / f"{steps}"), steps)
        for table in (second, AlphaTable.resume(tmp_path / f"{steps}")):
            assert table._rows.motion.capacity == 12
            whole = run(run(make(name, window=4), steps), 40, seed=1)
            assert_same(run(table, 40, seed=1), whole)


def test_a_state_brings_its_rate_and_seed():
    table = AlphaTable(N, K, lr=0.7, seed=3)
    other = AlphaTable(N, K, lr=0.1)
    other.load_state_dict(table.state_dict())
    other.step(torch.tensor([0]), torch.ones(1, K))
    torch.testing.assert_close(other.dense()[0], torch.full((K,), -0.7))
    assert other.state_dict()["hyperparameters"]["seed"] == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 1}, "version 1, expected 2"),
        ({"hyperparameters": {"momentum": 0.5}}, "momentum 0.5 and this table 0.9"),
        ({"hyperparameters": {"dtype": "float64"}}, "dtype 'float64' and this table 'float32'"),
        ({"arrays": {"alpha": torch.zeros(N + 1, K)}}, f"{N + 1} samples and this table {N}"),
        (
            {"arrays": {"velocity": torch.zeros(N, K + 1)}},
            r"velocity of the state has shape \(9, 7\)",
        ),
        ({"ids": list(range(N))}, "one has none"),
        (
            {"arrays": {"more": torch.zeros(1)}},
            r"\['alpha', 'archive', .*'more'.*expected \['alpha', .*: it is not whole",
        ),
        ({"hyperparameters": {"lr": -1.0}}, "lr is -1.0, expected"),
        ({"hyperparameters": {"seed": None}}, "seed is None, expected"),
        (
            {"arrays": {"alpha": torch.zeros(N, K, dtype=torch.float64)}},
            "alpha of the state is torch.float64, expected",
        ),
        ({"arrays": {"times": torch.full((2, 4), -5)}}, r"the state is damaged: its time is Time\(clock=-5"),
        ({"arrays": {"times": torch.zeros(2, 4, dtype=torch.int64)}}, f"n_rows=0, .* and it has {N} samples"),
    ],
)
@pytest.mark.parametrize("in_file", [False, True])
def test_a_state_that_does_not_fit_leaves_the_table_as_it_was(change, message, in_file, tmp_path):
    file = tmp_path / "alpha" if in_file else None
    table = run(make("momentum", file=file), 20)
    state = make("momentum").state_dict()
    for key, value in change.items():
        state[key] = state[key] | value if isinstance(value, dict) else value
    before = arrays(table)
    with pytest.raises(ValueError, match=message):
        table.load_state_dict(state)
    for name, array in arrays(table if file is None else AlphaTable.resume(file)).items():
        assert torch.equal(array, before[name])


@pytest.mark.parametrize("steps", range(3, 8))
def test_rows_that_were_kept_before_a_state_came_are_not_put_back_over_it(steps, tmp_path):
    """The state's turn of the clock may be the one at which the file last kept rows."""
    table, other = run(make("momentum", file=tmp_path / "alpha"), 6), run(make("momentum"), steps, seed=1)
    table.load_state_dict(other.state_dict())
    assert_same(AlphaTable.resume(tmp_path / "alpha"), other)


def test_no_state_in_the_middle_of_a_step():
    table = make("momentum")
    with table.announce(torch.tensor([0, 1]), [2]):
        for use in (table.state_dict, lambda: table.load_state_dict({}), lambda: table.extend(1, labels=LABELS[:1])):
            with pytest.raises(RuntimeError, match="leave the with block"):
                use()
    table.cross_entropy(torch.zeros(1, K, requires_grad=True), LABELS[:1], torch.tensor([0])).backward()
    with pytest.raises(RuntimeError, match="pending"):
        table.state_dict()
    assert table.state_dict(leave_out_pending=True)["arrays"].keys() == make("momentum").state_dict()["arrays"].keys()
    table.step_pending()  # they are still there


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda table: pickle.loads(pickle.dumps(table))])
@pytest.mark.parametrize("name", TABLES)
def test_copies_are_tables_of_their_own(name, copied):
    """Their states are, too, which once were those of the moment of the copy."""
    table = run(make(name), 30)
    other = copied(table)
    whole = run(run(make(name), 30), 30, seed=1)
    assert_same(run(other, 30, seed=1), whole)
    loaded = make(name)
    loaded.load_state_dict(other.state_dict())
    assert_same(run(loaded, 30, seed=2), run(whole, 30, seed=2))
    before = table.dense().clone()
    run(other, 1)
    assert torch.equal(table.dense(), before)


def test_no_copy_while_steps_are_announced():
    table = make("momentum")
    with table.announce(torch.tensor([0, 1]), [2]), pytest.raises(RuntimeError, match="cannot be copied"):
        copy.deepcopy(table)


# ---------------------------------------------------------------------- files


@pytest.mark.parametrize("name", TABLES)
def test_a_file_holds_the_table_that_memory_would(name, tmp_path):
    table = run(make(name, file=tmp_path / "alpha"), 300)
    assert_same(table, run(make(name), 300))
    del table
    resumed = AlphaTable.resume(tmp_path / "alpha")
    memory = make(name)
    run(memory, 300).flush()  # assert_same has flushed the other one there
    assert_same(run(resumed, 300, seed=1), run(memory, 300, seed=1))


def test_a_process_killed_between_steps_leaves_the_table(tmp_path):
    code = f"""
import os, signal
from test_alpha_storage import make, run
run(make("all", file={str(tmp_path / "alpha")!r}), 300)
os.kill(os.getpid(), signal.SIGKILL)
"""
    here = {**os.environ, "PYTHONPATH": os.path.dirname(__file__)}
    assert subprocess.run([sys.executable, "-c", code], check=False, env=here).returncode == -9
    assert_same(AlphaTable.resume(tmp_path / "alpha"), run(make("all"), 300))


def test_a_file_is_as_before_while_samples_are_announced(tmp_path):
    table = run(make("all", file=tmp_path / "alpha"), 30)
    before = arrays(table)
    with table.announce(torch.arange(N), [N]) as steps:
        steps[0].step(torch.ones(N, K))
        for name, array in arrays(AlphaTable.resume(tmp_path / "alpha")).items():
            assert torch.equal(array, before[name])
    assert AlphaTable.resume(tmp_path / "alpha").clock == 31


def test_a_loaded_rate_is_kept_in_the_file(tmp_path):
    table = AlphaTable(N, K, lr=0.1, file=tmp_path / "alpha")
    table.load_state_dict(AlphaTable(N, K, lr=0.7, seed=3).state_dict())
    resumed = AlphaTable.resume(tmp_path / "alpha")
    assert resumed.lr == 0.7
    assert resumed.state_dict()["hyperparameters"]["seed"] == 3


@pytest.mark.parametrize("steps", range(8))
def test_a_loaded_state_is_what_is_resumed(steps, tmp_path):
    """Whatever its clock: rows that were kept beside the last step of before are not put back into it."""
    table = run(make("all", file=tmp_path / "alpha"), 4)
    other = run(make("all"), steps, seed=9)
    table.load_state_dict(other.state_dict())
    assert_same(run(AlphaTable.resume(tmp_path / "alpha"), 5, seed=2), run(other, 5, seed=2))


def test_string_ids_are_not_loaded_into_a_file(tmp_path):
    table = run(AlphaTable(N, K, lr=0.3, ids=range(N), file=tmp_path / "alpha"), 5)
    before = arrays(table)
    with pytest.raises(ValueError, match="strings for ids, and a file keeps integers"):
        table.load_state_dict(AlphaTable(N, K, lr=0.3, ids=[f"{i}.png" for i in range(N)]).state_dict())
    assert all(torch.equal(array, before[name]) for name, array in arrays(table).items())


def test_a_file_grows_where_it_was_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    table = make("momentum", file="alpha")
    monkeypatch.chdir("elsewhere")
    table.extend(100)
    assert AlphaTable.resume(tmp_path / "alpha").n_samples == N + 100
    assert not list((tmp_path / "elsewhere").iterdir())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_process_of_several_is_not_told_to_open_the_file_of_another(at_once, tmp_path, monkeypatch):
    """Also where both make it in the same moment; each has rows of its own, and a file of its own then."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    for rank in range(2):
        monkeypatch.setenv("RANK", str(rank))
        make("momentum", file=tmp_path / f"alpha-{rank}.table").close()
    make("momentum", file=tmp_path / "alpha.table").close()
    if at_once:
        monkeypatch.setattr("pathlib.Path.exists", lambda path: False)
    message = r"each of the 2 processes needs a file of its own: .* such as alpha-1\.table\. AlphaTable\.resume"
    with pytest.raises(FileExistsError, match=message):
        make("momentum", file=tmp_path / "alpha.table")


def test_a_file_is_not_overwritten(tmp_path):
    run(make("momentum", file=tmp_path / "alpha"), 10).sync()
    content = (tmp_path / "alpha").read_bytes()
    with pytest.raises(FileExistsError, match=r"is there already: AlphaTable\.resume"):
        make("momentum", file=tmp_path / "alpha")
    assert (tmp_path / "alpha").read_bytes() == content


def damaged(content, damage):
    if damage == "cut":
        return content[:-4096], r"has [\d,]+ bytes, expected [\d,]+: it was cut"
    if damage == "longer":
        return content + b"\0", "bytes, expected"
    if damage == "text":
        return b"alpha,beta\n1,2\n", "is not a file of an alpha table"
    if damage == "a first page alone":
        return content[:4000], "is damaged"
    if damage == "of version 1":
        return MAGIC + b'{"version": 1, "size": 1}'.ljust(4096 - len(MAGIC)), "or of version 1"
    return b"", "is not a file of an alpha table"


@pytest.mark.parametrize("damage", ["cut", "longer", "text", "a first page alone", "of version 1", "empty"])
def test_a_file_that_cannot_be_read_is_left_alone(damage, tmp_path):
    run(make("momentum", file=tmp_path / "alpha"), 10).sync()
    content, message = damaged((tmp_path / "alpha").read_bytes(), damage)
    (tmp_path / "alpha").write_bytes(content)
    with pytest.raises(ValueError, match=message):
        AlphaTable.resume(tmp_path / "alpha")
    assert (tmp_path / "alpha").read_bytes() == content


def test_a_file_of_another_version_is_left_to_it(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("acestimator.alpha.header.VERSION", 3)
        make("momentum", file=tmp_path / "alpha").close()
    with pytest.raises(ValueError, match="of version 3, expected 2: read it with the version of acestimator"):
        AlphaTable.resume(tmp_path / "alpha")


@pytest.fixture(scope="module")
def closed_file(tmp_path_factory):
    """A path, and what a table that was closed has left there."""
    path = tmp_path_factory.mktemp("closed") / "alpha"
    run(make("all", window=4, file=path), 30).close()
    return path, path.read_bytes()


def changed(path, content, position, by):
    content = bytearray(content)
    content[position] ^= by
    path.write_bytes(content)
    return path


@given(position=st.integers(0, 4095), by=st.integers(1, 255))
@settings(max_examples=300)
def test_any_other_byte_in_the_description_is_an_error(closed_file, position, by):
    """Some once gave a KeyError, a TypeError, an IndexError, and with another ``n_classes`` a table."""
    with pytest.raises(ValueError, match=r"is damaged|is not a file of an alpha table"):
        AlphaTable.resume(changed(*closed_file, position, by))


def test_a_description_that_was_written_over_is_an_error(closed_file):
    path, content = closed_file
    path.write_bytes(content.replace(f'"n_classes": {K}'.encode(), f'"n_classes": {K + 1}'.encode(), 1))
    with pytest.raises(ValueError, match="the description in its first 4096 bytes is damaged"):
        AlphaTable.resume(path)


@given(share=st.floats(0.0, 1.0, exclude_max=True), by=st.integers(1, 255))
@settings(max_examples=200)
def test_any_other_byte_behind_it_is_an_error_where_it_is_asked_for(closed_file, share, by):
    path, content = closed_file
    position = 4096 + int(share * (len(content) - 4096))
    with pytest.raises(ValueError, match=r"is damaged: its checksum|has no checksum|is not whole"):
        AlphaTable.resume(changed(path, content, position, by), verify=True)


@pytest.mark.parametrize("record", [(-1, 0, N, 0), (5, 6, N, 0), (5, 5, N + 1, 0), (5, 5, N, 2)])
def test_a_time_that_cannot_be_is_an_error_in_any_case(record, tmp_path):
    table = run(make("all", file=tmp_path / "alpha"), 30)
    table._rows.storage["times"][:] = torch.tensor(record)
    with pytest.raises(ValueError, match=r"is damaged: its time is Time\(clock="):
        AlphaTable.resume(tmp_path / "alpha")


def test_a_checksum_is_of_the_last_time_that_all_was_written(tmp_path):
    """Reading leaves it right; a step, a flush of rows that lag, and a state make it one of before."""
    path, index = tmp_path / "alpha", torch.tensor([3, 1])
    table = run(make("all", file=path), 30)
    moves = {
        "step": lambda: table.step(index, torch.ones(2, K)),
        "flush": table.flush,
        "load": lambda: table.load_state_dict(run(make("all"), 3).state_dict()),
        "extend": lambda: table.extend(1),
    }
    with pytest.raises(ValueError, match=r"has no checksum: its table has moved since the last sync\(\) or close\(\)"):
        AlphaTable.resume(path, verify=True)
    for move in moves.values():
        table.sync()
        table.rows(index)
        table.norm()
        assert AlphaTable.resume(path, verify=True).clock == table.clock
        move()
        with pytest.raises(ValueError, match="Without verify=True it can be opened"):
            AlphaTable.resume(path, verify=True)
        assert AlphaTable.resume(path).clock == table.clock
    table.close()
    assert AlphaTable.resume(path, verify=True).n_samples == N + 1


def test_an_interrupted_write_is_taken_back(tmp_path, monkeypatch):
    """A KeyboardInterrupt between the arrays of a row: it has then not had its gradient."""
    table, memory = run(make("all", file=tmp_path / "alpha"), 5), run(make("all"), 5)
    with monkeypatch.context() as patch:
        write = transfer._write

        def interrupted(array, *arguments):
            if array is table._rows.transfer.velocity:
                raise KeyboardInterrupt
            write(array, *arguments)

        patch.setattr(transfer, "_write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            table.step(torch.tensor([3, 1]), torch.ones(2, K), 0.2)
    memory.step(torch.tensor([], dtype=torch.int64), torch.empty(0, K), 0.2)
    torch.testing.assert_close(table.dense(), memory.dense())
    torch.testing.assert_close(run(table, 5).dense(), run(memory, 5).dense())


def test_a_file_too_large_for_the_disk_is_not_begun(tmp_path):
    with pytest.raises(OSError, match=r"needs [\d,]+ bytes and its disk has [\d,]+ free"):
        AlphaTable(10**12, 1000, lr=0.3, file=tmp_path / "alpha")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def full_disk(monkeypatch):
    """A disk that fills up while a file is being made, as another process's writing makes it."""

    def refuse(descriptor, offset, size):
        os.ftruncate(descriptor, size // 2)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", refuse, raising=False)


def test_a_disk_that_fills_up_leaves_no_half_made_file(tmp_path, full_disk):
    with pytest.raises(OSError, match="bytes and its disk has"):
        make("momentum", file=tmp_path / "alpha")
    assert not list(tmp_path.iterdir())


def test_a_disk_without_room_to_grow_leaves_the_table_as_it_was(tmp_path, request):
    table = run(make("momentum", file=tmp_path / "alpha"), 30)
    before = arrays(table)
    request.getfixturevalue("full_disk")
    with pytest.raises(OSError, match="bytes and its disk has"):
        table.extend(100)
    assert [path.name for path in tmp_path.iterdir()] == ["alpha"]
    assert table.n_samples == N
    for name, array in arrays(table).items():
        assert torch.equal(array, before[name])
    assert_same(run(table, 30, seed=1), run(run(make("momentum"), 30), 30, seed=1))


def test_a_closed_table_is_let_go_and_says_so(tmp_path):
    table = run(make("all", file=tmp_path / "alpha"), 30)
    table.close()
    table.close()
    for use in (
        table.dense,
        table.sync,
        lambda: table.clock,
        lambda: run(table, 1),
        lambda: copy.deepcopy(table).norm(),
    ):
        with pytest.raises(RuntimeError, match=r"is closed: AlphaTable\.resume\('.*alpha'\) opens it"):
            use()
    with AlphaTable.resume(tmp_path / "alpha") as again:
        assert_same(run(again, 30, seed=1), run(run(make("all"), 30), 30, seed=1))
    with pytest.raises(RuntimeError, match="is closed"):
        again.flush()


def test_closing_a_table_in_memory_changes_nothing():
    with make("all") as table:
        run(table, 30)
    assert_same(table, run(make("all"), 30))


def test_a_table_is_not_closed_while_steps_are_announced(tmp_path):
    table = make("all", file=tmp_path / "alpha")
    with table.announce(torch.tensor([0]), [1]), pytest.raises(RuntimeError, match="leave the with block"):
        table.close()


def test_a_table_in_a_file_is_not_copied(tmp_path):
    table = make("momentum", file=tmp_path / "alpha")
    with pytest.raises(TypeError, match="would write to one file"):
        copy.deepcopy(table)
    with pytest.raises(TypeError, match="would write to one file"):
        pickle.dumps(table)


def test_a_file_without_fallocate_is_claimed_by_writing(tmp_path, monkeypatch):
    monkeypatch.delattr(os, "posix_fallocate", raising=False)
    assert_same(run(make("all", file=tmp_path / "alpha"), 30), run(make("all"), 30))
    assert (tmp_path / "alpha").stat().st_blocks * 512 >= (tmp_path / "alpha").stat().st_size


# ---------------------------------------------------------------------- growth and ids


@pytest.mark.parametrize("in_file", [False, True])
@pytest.mark.parametrize("name", [name for name in TABLES if name not in ("bfloat16", "float16")])
def test_a_grown_table_is_one_that_had_all_its_rows_from_the_start(name, in_file, tmp_path):
    """Rows come one by one and many at a time, beyond the spare room and within it."""
    first, more = 3, {"file": tmp_path / "alpha"} if in_file else {}
    parameters = dict(TABLES[name])
    ids = parameters.pop("ids", None)
    table = AlphaTable(
        first, K, labels=LABELS[:first], lr=0.3, ids=None if ids is None else ids[:first], **parameters, **more
    )
    whole = AlphaTable(N, K, labels=LABELS, lr=0.3, ids=ids, **parameters)
    generator = torch.Generator().manual_seed(0)
    for n_samples in (3, 4, 5, 9):
        start = table.n_samples
        new = slice(start, n_samples)
        table.extend(n_samples - start, labels=LABELS[new], ids=None if ids is None else ids[new])
        for _ in range(20):
            index = torch.randint(n_samples, (3,), generator=generator)
            index = index if ids is None else ids[index]
            grad = torch.randn(3, K, generator=generator)
            table.step(index, grad)
            whole.step(index, grad)
    assert torch.equal(table.dense(), whole.dense())
    if in_file:
        del table
        resumed = AlphaTable.resume(tmp_path / "alpha")
        assert resumed.n_samples == N
        assert torch.equal(resumed.dense(), whole.dense())


@pytest.mark.parametrize(
    "ids", [torch.tensor([30, 10, 20]), ["c.png", "a.png", "b.png"], [2**40, -1, 7]], ids=["tensor", "names", "list"]
)
def test_ids_name_the_rows(ids):
    table = AlphaTable(3, K, lr=1.0, ids=ids)
    table.step(ids[1:2], torch.ones(1, K))
    table.extend(1, ids=["d.png"] if isinstance(ids[0], str) else [99])
    assert table.dense().any(dim=1).tolist() == [False, True, False, False]
    backwards = ids[1:].flip(0) if isinstance(ids, torch.Tensor) else ids[:0:-1]
    assert table.rows(backwards).any(dim=1).tolist() == [False, True]


def test_ids_that_are_no_names():
    with pytest.raises(ValueError, match="id 5 stands twice"):
        AlphaTable(3, K, lr=1.0, ids=[5, 1, 5])
    with pytest.raises(ValueError, match="2 entries and there are 3 samples"):
        AlphaTable(3, K, lr=1.0, ids=[5, 1])
    with pytest.raises(ValueError, match="expected integers or strings"):
        AlphaTable(3, K, lr=1.0, ids=[0.5, 1.0, 2.0])
    table = AlphaTable(3, K, lr=1.0, ids=["a", "b", "c"])
    with pytest.raises(IndexError, match="id 'd' is none of the 3"):
        table.rows(["a", "d"])
    with pytest.raises(IndexError, match="ids such as 0 were asked for, expected such as 'a'"):
        table.rows([0])
    for ids, message in (
        (["a"], "'a' stands twice"),
        ([4], "new ids are such as 4"),
        (None, "give ids for new samples"),
        (["d", "e"], "2 entries and 1 samples"),
    ):
        with pytest.raises(ValueError, match=message):
            table.extend(1, ids=ids)
    assert table.n_samples == 3


def test_string_ids_are_not_kept_in_a_file(tmp_path):
    with pytest.raises(ValueError, match="a file keeps integers only"):
        AlphaTable(3, K, lr=1.0, ids=["a", "b", "c"], file=tmp_path / "alpha")
    assert not list(tmp_path.iterdir())


def test_samples_that_cannot_be_added():
    table = make("AC2")
    for labels, message in ((None, "give labels"), (LABELS[:2], "the table 1 samples"), (torch.tensor([K]), "6 to 6")):
        with pytest.raises(ValueError, match=message):
            table.extend(1, labels=labels)
    with pytest.raises(ValueError, match="n_samples is -1"):
        table.extend(-1)
    assert table.n_samples == N


# ---------------------------------------------------------------------- 16 bits

FORMATS = [torch.bfloat16, torch.float16]


@pytest.mark.parametrize("dtype", FORMATS)
@given(x=st.floats(-60000.0, 60000.0, width=32), seed=st.integers(0, 2**31))
def test_rounding_goes_to_a_neighbour(dtype, x, seed):
    value = torch.full((1000,), x)
    rounded = stochastic_round(value, dtype, torch.Generator().manual_seed(seed)).unique().double()
    nearest = value[:1].to(dtype)
    step = torch.nextafter(nearest.abs(), torch.tensor(torch.inf, dtype=dtype)).double() - nearest.abs().double()
    assert len(rounded) <= 2
    assert ((rounded - x).abs() < step).all()


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("x", [1.0 + 1e-4, -1.0 - 1e-4, 3.14159, 1e-6, -7.7e-6, 6.1e-5, 0.0])
def test_rounding_is_right_in_the_mean(dtype, x):
    """Within five standard errors, below float16's smallest normal number, 6.1e-5, too."""
    rounded = stochastic_round(torch.full((1 << 20,), x), dtype, torch.Generator().manual_seed(0)).double()
    error = (rounded.mean() - torch.tensor(x, dtype=torch.float32).double()).abs()
    assert error <= 5.0 * rounded.std() / 2**10


@pytest.mark.parametrize("dtype", FORMATS)
def test_every_16_bit_number_is_its_own_rounding(dtype):
    every = torch.arange(-(2**15), 2**15, dtype=torch.int32).to(torch.int16).view(dtype)
    every = every[torch.isfinite(every)]
    rounded = stochastic_round(every.float(), dtype, torch.Generator().manual_seed(0))
    assert torch.equal(rounded.float(), every.float())


@pytest.mark.parametrize("dtype", FORMATS)
def test_steps_too_small_for_16_bits_still_move_a_row(dtype):
    """A thousand steps of 1e-4 from 1: each is an eightieth of bfloat16's spacing there, and rounds to nothing."""
    table = AlphaTable(2000, 1, lr=1.0, dtype=dtype)
    index = torch.arange(2000)
    table.step(index, torch.full((2000, 1), -1.0))
    for _ in range(1000):
        table.step(index, torch.full((2000, 1), -1e-4))
    assert float(table.dense().float().mean()) == pytest.approx(1.1, abs=0.002)


@pytest.mark.parametrize("dtype", FORMATS)
@pytest.mark.parametrize("motion", MOTIONS)
def test_16_bits_stay_near_float32(dtype, motion):
    """Within the random walk of as many roundings."""
    tables = [AlphaTable(N, K, lr=0.3, dtype=d, **MOTIONS[motion]) for d in (dtype, torch.float32)]
    for table in tables:
        run(table, 50)
    assert tables[0].rows(torch.tensor([0])).dtype == torch.float32
    difference = (tables[0].dense().float() - tables[1].dense()).abs().max() / tables[1].dense().abs().max()
    assert 0.0 < difference < 10.0 * torch.finfo(dtype).eps
