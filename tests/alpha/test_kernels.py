"""The kernel against torch: on CUDA, and under ``TRITON_INTERPRET=1`` in triton's interpreter on the CPU."""

import os
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from acestimator.alpha import kernel
from acestimator.alpha.kernel import MAX_CLASSES, shifted_gradient, usable
from acestimator.objectives import softmax_gradient

DTYPES = [torch.float32, torch.float16, torch.bfloat16]


@pytest.fixture(scope="module", params=["cpu", pytest.param("cuda", marks=pytest.mark.cuda)])
def device(request):
    """Where the kernel runs. Of the module, since hypothesis repeats a test within its fixtures."""
    pytest.importorskip("triton")
    if request.param == "cpu" and os.environ.get("TRITON_INTERPRET") != "1":
        pytest.skip("needs the interpreter: TRITON_INTERPRET=1")
    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    assert usable(request.param)
    return torch.device(request.param)


def forbid(monkeypatch, name):
    """Fail if this function of the module is called."""

    def forbidden(*_):
        raise AssertionError(f"{name} was called")

    monkeypatch.setattr(kernel, name, forbidden)


@pytest.fixture
def kernel_only(monkeypatch):
    """The kernel is compared with torch, and never torch with itself."""
    forbid(monkeypatch, "_reference")


def draw(n_rows, n_classes, device="cpu", dtype=torch.float32, seed=0):
    """(logits, labels, alpha)."""
    generator = torch.Generator().manual_seed(seed)
    logits, alpha = (3.0 * torch.randn(2, n_rows, n_classes, generator=generator)).to(device, dtype)
    return logits, torch.randint(n_classes, (n_rows,), generator=generator).to(device), alpha


def assert_equals_reference(logits, labels, alpha):
    """Compare with torch in float64, so that the difference is one side's error alone; returns the results."""
    results = shifted_gradient(logits, labels, alpha)
    for ours, theirs in zip(results, softmax_gradient(logits.double() + alpha.double(), labels), strict=True):
        assert ours.dtype == torch.float32
        torch.testing.assert_close(ours.double(), theirs, rtol=2e-6, atol=1e-5)
    return results


@pytest.mark.usefixtures("kernel_only")
@pytest.mark.parametrize("n_classes", [1, 2, 10, 100, 1000, 1025])
@pytest.mark.parametrize("n_rows", [0, 1, 5])
def test_equals_softmax_gradient_of_the_sum(device, n_rows, n_classes):
    grad, _ = assert_equals_reference(*draw(n_rows, n_classes, device))
    torch.testing.assert_close(grad.sum(dim=1), torch.zeros(n_rows, device=device), rtol=0.0, atol=1e-5)


@given(
    n_rows=st.integers(1, 4),
    n_classes=st.integers(1, 70),
    dtypes=st.tuples(*[st.sampled_from(DTYPES)] * 2),
    seed=st.integers(0, 2**31),
)
def test_equals_it_for_every_size_and_mix_of_dtypes(device, n_rows, n_classes, dtypes, seed):
    logits, labels, alpha = draw(n_rows, n_classes, device, seed=seed)
    assert_equals_reference(logits.to(dtypes[0]), labels, alpha.to(dtypes[1]))


VIEWS = {
    "a part of longer rows": lambda x: x[2:7, 3:10],
    "every other row": lambda x: x[1::2, :7],
    "one row for all": lambda x: x[4:5, :7].expand(5, 7),
    "columns that lie apart": lambda x: x[:5, 1::3],
    "transposed": lambda x: x[:7, :5].T,
}


@pytest.mark.usefixtures("kernel_only")
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("of_table", VIEWS.values(), ids=VIEWS)
@pytest.mark.parametrize("of_logits", VIEWS.values(), ids=VIEWS)
def test_views_are_read_as_they_lie(device, of_logits, of_table, dtype):
    logits, _, alpha = draw(11, 22, device, dtype)
    labels = (torch.arange(10, device=device) % 7)[::2]
    before = logits.clone(), alpha.clone()
    assert_equals_reference(of_logits(logits), labels, of_table(alpha))
    assert all(map(torch.equal, (logits, alpha), before))


@pytest.mark.usefixtures("kernel_only")
def test_rows_lie_further_apart_than_an_int32_counts(device):
    """Row 2 begins at element 2**31; the pages between the rows are never touched."""
    storage = torch.empty(2**31 + 8, dtype=torch.float16, device=device)
    alpha = storage.as_strided((3, 8), (2**30, 1))
    logits, labels, values = draw(3, 8, device)
    alpha.copy_(values)
    assert_equals_reference(logits, labels, alpha)


@pytest.mark.usefixtures("kernel_only")
@pytest.mark.parametrize("size", [1e4, -1e4, 1e30])
def test_extreme_logits(device, size):
    logits = torch.zeros(3, 10, device=device)
    logits[0] = size  # all equal: uniform
    logits[1, 3] = size  # one apart
    logits[2] = torch.linspace(-abs(size), abs(size), 10)  # one certain
    labels = torch.tensor([0, 3, 0], device=device)
    grad, log_probability = assert_equals_reference(logits, labels, torch.zeros_like(logits))
    assert grad.isfinite().all()
    assert log_probability.isfinite().all()
    torch.testing.assert_close(grad[0].cpu(), torch.tensor([-0.9] + 9 * [0.1]))
    assert grad[2].tolist() == [-1.0] + 8 * [0.0] + [1.0]


@pytest.mark.usefixtures("kernel_only")
@pytest.mark.filterwarnings("ignore:All-NaN slice encountered:RuntimeWarning")  # the interpreter's
def test_nan_spoils_its_row_alone(device):
    logits, labels, alpha = draw(3, 10, device)
    alpha[1, 4] = float("nan")
    for values in shifted_gradient(logits, labels, alpha):
        assert values[1].isnan().all()
        assert values[[0, 2]].isfinite().all()


@pytest.mark.parametrize(("n_classes", "dtype"), [(MAX_CLASSES + 1, torch.float32), (10, torch.float64)])
def test_wide_rows_and_float64_are_left_to_torch(device, monkeypatch, n_classes, dtype):
    forbid(monkeypatch, "_launch")
    logits, labels, alpha = draw(2, n_classes, device, dtype)
    expected = softmax_gradient(logits + alpha, labels)
    for ours, theirs in zip(shifted_gradient(logits, labels, alpha), expected, strict=True):
        torch.testing.assert_close(ours, theirs)  # dtypes included


@pytest.mark.parametrize("dtype", DTYPES)
def test_without_triton_torch_computes_the_same(monkeypatch, dtype):
    monkeypatch.setattr(kernel, "usable", lambda _: False)
    logits, labels, alpha = draw(5, 10, dtype=dtype)
    plain = assert_equals_reference(logits, labels, alpha)
    for ours, theirs in zip(shifted_gradient(logits.requires_grad_(), labels, alpha), plain, strict=True):
        assert not ours.requires_grad
        assert torch.equal(ours, theirs)


@pytest.mark.parametrize(
    ("changed", "shape", "message"),
    [
        (1, (4,), r"shapes \(5, 10\) and \(5, 10\), and labels \(4,\)"),
        (2, (4, 10), r"\(5, 10\) and \(4, 10\)"),
        (2, (5, 1), r"\(5, 10\) and \(5, 1\)"),
    ],
)
def test_shapes_that_do_not_fit_are_named(changed, shape, message):
    arguments = list(draw(5, 10))
    arguments[changed] = torch.zeros(shape, dtype=arguments[changed].dtype)
    with pytest.raises(ValueError, match=message):
        shifted_gradient(*arguments)


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_triton_that_fails_is_not_usable(monkeypatch, error):
    def broken():
        raise error("no triton here")

    monkeypatch.setenv("TRITON_INTERPRET", "1")
    monkeypatch.setattr(kernel, "_compiled", broken)
    assert not usable.__wrapped__("cpu")  # the answer, and not the one that is kept


def in_a_new_process(code, **env):
    """Run without the interpreter, warnings as errors."""
    env = {key: value for key, value in os.environ.items() if key != "TRITON_INTERPRET"} | env
    subprocess.run([sys.executable, "-W", "error", "-c", code], check=True, env=env)


def test_the_cpu_does_not_import_triton():
    pytest.importorskip("triton")
    in_a_new_process(
        "import sys, torch; before = set(sys.modules)\n"
        "import acestimator; from acestimator.alpha.kernel import usable\n"
        "assert not usable('cpu') and not {'triton'} & (set(sys.modules) - before)"
    )


def test_the_compiler_takes_the_kernel(tmp_path):
    """To machine code for a GPU, though there is none: the interpreter takes more of Python than the compiler does."""
    pytest.importorskip("triton")
    in_a_new_process(
        """if True:
        import triton
        from triton.backends.compiler import GPUTarget
        from triton.compiler import ASTSource
        from acestimator.alpha.kernel import _compiled

        types = "*bf16 *i64 *fp32 *fp32 *fp32 i32 i32 i32 constexpr".split()  # logits, labels, alpha, ...
        source = ASTSource(_compiled(), dict(zip(_compiled().arg_names, types, strict=True)), {"BLOCK": 1024})
        options = {"num_warps": 4, "enable_fp_fusion": True}
        ptx = triton.compile(source, target=GPUTarget("cuda", 80, 32), options=options).asm["ptx"]
        assert "f64" not in ptx, "float64 is 32 times slower on most GPUs"
        """,
        TRITON_CACHE_DIR=str(tmp_path),
    )
