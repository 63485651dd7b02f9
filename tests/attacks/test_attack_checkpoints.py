"""Checkpoints under attack: every kill is gone on from, bit for bit, and no damage makes another fit.

``nox -s attacks`` makes 200 kills, 220 flipped bits and 40 zeroed blocks.
"""

import errno
import logging
import os
import pickle
import random
import resource
import subprocess
import time
from pathlib import Path

import pytest
from attack_tools import LONG, SETTINGS, X, Y, child, count, flipped, killed
from same_fit import assert_same_fit
from sklearn.base import clone

from acestimator import AutoCleansingClassifier, BaselineClassifier
from acestimator.estimators.network import NetworkClassifier
from acestimator.peers import METHODS
from acestimator.training.checkpoint import Checkpoint

LOG = logging.getLogger(__name__)
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")  # forked children compute alone

MAKERS = {
    "default": lambda: AutoCleansingClassifier(**SETTINGS),
    "paper": lambda: AutoCleansingClassifier(preset="paper", **SETTINGS),
    "AC2": lambda: AutoCleansingClassifier(variant="AC2", **SETTINGS),
    **{name: lambda name=name: BaselineClassifier(name, **SETTINGS) for name in sorted(METHODS)},
}
REFERENCES = {}


@pytest.fixture(autouse=True)
def written_at_every_epoch(monkeypatch):
    monkeypatch.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)


def reference(name):
    """A fit in one go, and the seconds that one with a checkpoint takes."""
    if name not in REFERENCES:
        REFERENCES[name] = MAKERS[name]().fit(X, Y)
    return REFERENCES[name]


def seconds_of(name, folder):
    began = time.monotonic()
    MAKERS[name]().set_params(checkpoint=folder / "timed.pt").fit(X, Y)
    return time.monotonic() - began


N_KILLS = count(2, 11)  # of each; 19 of them are 209


@pytest.mark.parametrize("name", MAKERS if LONG else ["default", "AC2", "co_teaching", "sop"])
def test_a_fit_that_is_killed_goes_on_to_the_same_result(name, tmp_path):
    rng, duration, n_killed = random.Random(name), seconds_of(name, tmp_path), 0
    for number in range(N_KILLS):
        path = tmp_path / str(number) / "fit.pt"
        path.parent.mkdir()
        clf = MAKERS[name]().set_params(checkpoint=path)
        for _ in range(rng.choice([1, 1, 2])):  # some are killed again when they go on
            n_killed += killed(lambda clf=clf: clone(clf).fit(X, Y), rng.random() * duration)
        assert_same_fit(clone(clf).fit(X, Y), reference(name))
        assert not [*path.parent.glob("*.part"), *path.parent.glob("*.lock")]
    LOG.info("%s: %d of them were killed", name, n_killed)
    assert n_killed  # the attack was one


@pytest.fixture(scope="module")
def half_way(tmp_path_factory):
    """Files of a fit that was stopped half way, by their names."""
    folder = tmp_path_factory.mktemp("half")
    clf, save, n_saved = MAKERS["default"](), Checkpoint.save, 0

    def save_and_stop(self, phase, state):
        nonlocal n_saved
        save(self, phase, state)
        n_saved += 1
        if n_saved == 9:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(NetworkClassifier, "_checkpoint_seconds", 0.0)
        patches.setattr(Checkpoint, "save", save_and_stop)
        with pytest.raises(KeyboardInterrupt):
            clf.set_params(checkpoint=folder / "fit.pt").fit(X, Y)
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def refused(folder, files):
    """Whether a fit refuses these files, and leaves them as they are."""
    for path in folder.iterdir():
        path.unlink()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    clf = MAKERS["default"]().set_params(checkpoint=folder / "fit.pt")
    with pytest.raises(ValueError, match=r"is no checkpoint, or a damaged one|is a checkpoint of (version|another)"):
        clf.fit(X, Y)
    return {path.name: path.read_bytes() for path in folder.iterdir()} == files


def test_no_flipped_bit_is_taken_for_a_checkpoint(half_way, tmp_path):
    rng = random.Random(0)
    for _ in range(count(20, 220)):
        name = rng.choice(sorted(half_way))
        content = half_way[name]
        whole = 8 * len(content)
        bit = rng.randrange(min(whole, 8 * 4096) if rng.random() < 0.5 else whole)  # half of them in the header
        assert refused(tmp_path, half_way | {name: flipped(content, bit)})


def test_no_zeroed_block_is_taken_for_a_checkpoint(half_way, tmp_path):
    rng = random.Random(0)
    for _ in range(count(5, 40)):
        name = rng.choice(sorted(half_way))
        content = half_way[name]
        start = rng.randrange(len(content))
        end = min(len(content), start + rng.choice([64, 512, 4096]))
        damaged = content[:start] + bytes(end - start) + content[end:]
        if damaged != content:  # it may have been zeros
            assert refused(tmp_path, half_way | {name: damaged})


def test_a_checkpoint_that_was_cut_is_refused(half_way, tmp_path):
    content = half_way["fit.pt"]
    for n_bytes in (0, 1, 7, 8, 100, len(content) // 2, len(content) - 1):
        assert refused(tmp_path, half_way | {"fit.pt": content[:n_bytes]})
    assert refused(tmp_path, half_way | {"fit.pt": content + b"\0"})


def test_files_beside_it_are_not_opened(tmp_path):
    """fit.pt.7 is of a seventh phase, and this training has none; the pickle in it would be run."""
    ran = tmp_path / "ran"
    planted = tmp_path / "fit.pt.7"
    planted.write_bytes(pickle.dumps(Harmful(ran)))
    clf = MAKERS["cross_entropy"]().set_params(checkpoint=tmp_path / "fit.pt")
    assert_same_fit(clf.fit(X, Y), reference("cross_entropy"))
    planted.rename(tmp_path / "fit.pt.2")
    with pytest.raises(ValueError, match=r"fit\.pt\.2 is no checkpoint"):
        clf.fit(X, Y)
    assert not ran.exists()


class Harmful:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_disk_that_fills_up_is_named_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "fit.pt"
    clf = MAKERS["cross_entropy"]().set_params(checkpoint=path)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))  # bytes of a file: the first write fits
    try:
        with pytest.raises(OSError, match=r"fit\.pt needs [0-9,]{7,} bytes, and its disk has .* free") as raised:
            clf.fit(X, Y)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert raised.value.errno == errno.EFBIG
    assert [one.name for one in tmp_path.iterdir()] == ["fit.pt"]
    assert_same_fit(clf.fit(X, Y), reference("cross_entropy"))  # the file is a whole one


@pytest.mark.skipif(not LONG or os.geteuid() != 0, reason="mounts a disk: by root, in nox -s attacks")
@pytest.mark.parametrize("kilobytes", [4, 64, 300])
def test_a_small_disk(tmp_path, kilobytes):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "attack", str(tmp_path)], check=True)
    try:
        with pytest.raises(OSError, match=r"fit\.pt needs [0-9,]+ bytes, and its disk has .* free") as raised:
            MAKERS["cross_entropy"]().set_params(checkpoint=tmp_path / "fit.pt").fit(X, Y)
        assert raised.value.errno == errno.ENOSPC
        assert not list(tmp_path.glob("*.part"))
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_folder_that_cannot_be_written_to(tmp_path):
    folder = tmp_path / "read only"
    folder.mkdir()
    (folder / "fit.pt.lock").mkdir()  # for root, too, who may write anywhere
    with pytest.raises(OSError, match=r"fit\.pt\.lock"):
        MAKERS["cross_entropy"]().set_params(checkpoint=folder / "fit.pt").fit(X, Y)
    if os.geteuid() != 0:
        (folder / "fit.pt.lock").rmdir()
        folder.chmod(0o500)
        with pytest.raises(PermissionError, match=r"fit\.pt"):
            MAKERS["cross_entropy"]().set_params(checkpoint=folder / "fit.pt").fit(X, Y)


def test_folders_of_a_mistyped_path_are_not_made(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"and .*no such.* is no folder: make it, or mend the path"):
        MAKERS["cross_entropy"]().set_params(checkpoint=tmp_path / "no such" / "fit.pt").fit(X, Y)
    assert not list(tmp_path.iterdir())


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "fit.pt")
    with pytest.raises(ValueError, match="is no regular file"):
        MAKERS["cross_entropy"]().set_params(checkpoint=tmp_path / "fit.pt").fit(X, Y)


def test_a_second_process_at_a_checkpoint_is_told_so(tmp_path):
    clf = MAKERS["cross_entropy"]().set_params(checkpoint=tmp_path / "fit.pt")
    read, write = os.pipe()

    def hold():
        checkpoint = Checkpoint(tmp_path / "fit.pt", {})
        os.write(write, b"held")
        time.sleep(60)
        checkpoint.close()

    with child(hold) as pid:
        assert os.read(read, 4) == b"held"
        with pytest.raises(BlockingIOError, match=rf"fit\.pt is in use: process {pid} has it open"):
            clf.fit(X, Y)
    (tmp_path / "fit.pt").unlink()  # of another configuration
    assert_same_fit(clf.fit(X, Y), reference("cross_entropy"))  # a lock ends with its process
    for end in (read, write):
        os.close(end)


def test_a_second_fit_of_this_process_is_told_so_and_the_first_goes_on(tmp_path):
    checkpoint = Checkpoint(tmp_path / "fit.pt", {})
    with pytest.raises(BlockingIOError, match=f"process {os.getpid()} has it open"):
        Checkpoint(tmp_path / "fit.pt", {})
    checkpoint.close()
    Checkpoint(tmp_path / "fit.pt", {}).close()
    assert [path.name for path in tmp_path.iterdir()] == ["fit.pt"]


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    for name in ("fit.pt.123.part", "fit.pt.2.123.part", "fit.pt.mine.part", "other.pt.123.part"):
        (tmp_path / name).write_bytes(b"half")
    Checkpoint(tmp_path / "fit.pt", {}).close()
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"fit.pt", "fit.pt.mine.part", "other.pt.123.part"}
