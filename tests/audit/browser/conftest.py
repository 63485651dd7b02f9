"""One browser for all tests; each begins with an empty storage, and none may leave an error in the console."""

import pytest

collect_ignore = ["reviewer.py"]  # holds no doctests, and wants selenium


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    import reviewer  # selenium is there where these tests are asked for

    downloads = tmp_path_factory.mktemp("downloads")
    driver = reviewer.start(downloads)
    yield driver, downloads
    driver.quit()


@pytest.fixture
def review(browser, tmp_path):
    from reviewer import Reviewer

    driver, downloads = browser
    blank = tmp_path / "blank.html"
    blank.write_text("<!DOCTYPE html><meta charset='utf-8'><link rel='icon' href='data:,'><title>blank</title>")
    driver.get(blank.as_uri())
    driver.execute_script("localStorage.clear()")
    driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})
    person = Reviewer(driver, tmp_path, downloads)
    person.messages()
    yield person
    assert person.messages() == []
