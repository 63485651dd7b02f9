"""Everything that is run on this project: ``nox -s NAME``, or ``nox -l`` for the list."""

import nox

nox.options.default_venv_backend = "venv"
nox.options.reuse_existing_virtualenvs = True
nox.options.sessions = ["lint", "types", "tests"]

ENV = {"MPLBACKEND": "agg"}  # no session has a screen


def install(session: nox.Session, *packages: str) -> None:
    """Install the pinned versions, and the project in place, so that a reused environment is never stale."""
    session.install("-q", "-c", "constraints.txt", "-e", ".", *packages)


@nox.session
def demo(session: nox.Session) -> None:
    """Noisy digits: both models, a picture of the suspects, and a page to decide about them."""
    install(session, "jinja2", "pillow")
    session.run("acestimator", "demo", *session.posargs, env=ENV)


@nox.session
def tests(session: nox.Session) -> None:
    """Run the suite in two processes of one thread; ``-- -n 0`` runs it in this one, for a debugger."""
    audit = ["jinja2", "pandas", "pillow", "pyarrow", "skrub"]
    onnx = ["onnx", "onnxscript", "onnxruntime"]
    install(session, "pytest", "pytest-xdist", "hypothesis", "polars", "lightning", "mpmath", *audit, *onnx)
    session.run("pytest", "-n", "2", *session.posargs, env=ENV | {"OMP_NUM_THREADS": "1"})


@nox.session
def browser(session: nox.Session) -> None:
    """Use the page of the audit in chromium, which must be there with its driver (Debian: chromium-driver)."""
    install(session, "pytest", "hypothesis", "jinja2", "selenium")
    session.run("pytest", "-m", "browser", "tests/audit/browser", *session.posargs, env=ENV)


@nox.session
def attacks(session: nox.Session) -> None:
    """Attack fits, checkpoints, tables and files hundreds of times, where the suite does so a few times: minutes."""
    install(session, "pytest", "hypothesis", "jinja2", "pandas", "pillow", "pyarrow", "skrub")
    env = ENV | {"OMP_NUM_THREADS": "1", "ACESTIMATOR_ATTACKS": "long"}
    session.run("pytest", "tests/attacks", "--log-cli-level=INFO", *session.posargs, env=env)  # which tells the counts


@nox.session
def kernels(session: nox.Session) -> None:
    """Run the GPU kernel on the CPU, in triton's interpreter, and compile it for a GPU."""
    install(session, "pytest", "hypothesis", "triton")
    session.run("pytest", "tests/alpha/test_kernels.py", *session.posargs, env=ENV | {"TRITON_INTERPRET": "1"})


@nox.session
def lint(session: nox.Session) -> None:
    session.install("-q", "-c", "constraints.txt", "ruff")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def types(session: nox.Session) -> None:
    install(session, "mypy")
    session.run("mypy", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site, warnings as errors, and run its tutorials."""
    site = ["sphinx", "pydata-sphinx-theme", "numpydoc", "sphinx-gallery", "myst-parser"]
    install(session, *site, "pandas", "lightning")
    session.run("sphinx-build", "-W", "--keep-going", "docs", "docs/_build/html", *session.posargs, env=ENV)


@nox.session
def bench(session: nox.Session) -> None:
    """Measure what the README claims."""
    install(session, "cleanlab", "skorch")
    session.run("python", "benchmarks/fit_speed.py", *session.posargs, env=ENV)
    session.run("python", "benchmarks/digits_accuracy.py", env=ENV)
    session.run("python", "benchmarks/small_tables.py", env=ENV)
    session.run("python", "benchmarks/cleaned_classifiers.py", env=ENV)
    session.run("python", "benchmarks/large_fit.py", "--epochs", "default", env=ENV)
    session.run("python", "benchmarks/what_constants_add.py", env=ENV)
    session.run("python", "benchmarks/import_time.py", env=ENV)
    session.run("python", "benchmarks/alpha_table.py", env=ENV)
    session.run("python", "benchmarks/augmentation.py", env=ENV)
    session.run("python", "benchmarks/gpu_step.py", env=ENV)  # says so where there is no GPU


@nox.session
def theory(session: nox.Session) -> None:
    """Try every claim of the theory, print the table of verdicts and draw the figures; then its tests."""
    install(session, "pytest", "hypothesis", "mpmath")
    session.run("python", "-m", "theory", *session.posargs, env=ENV)
    session.run("pytest", "tests/theory", "-m", "not cuda", env=ENV)
