"""A reviewer in front of chromium: opens pages, presses keys, and says what is to be seen."""

import json
import shutil
import time

from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from acestimator.audit.page import render


def start(downloads):
    """Chromium without a window; its messages are kept."""
    paths = [shutil.which(name) for name in ("chromium", "chromedriver")]
    if None in paths:
        raise RuntimeError(f"chromium and chromedriver are at {paths}, expected both: apt-get install chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = paths[0]
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"):
        options.add_argument(argument)
    options.add_experimental_option("prefs", {"download.default_directory": str(downloads)})
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(paths[1]))


class Reviewer:
    """What a person does, and sees.

    Parameters
    ----------
    driver : selenium.webdriver.Chrome
    folder : pathlib.Path
        Of the pages.
    downloads : pathlib.Path
    """

    def __init__(self, driver, folder, downloads):
        self.driver, self.folder, self.downloads = driver, folder, downloads

    def open(self, page, name="review.html"):
        path = self.folder / name
        path.write_text(render(page), encoding="utf-8", newline="\n")
        self.driver.get(path.as_uri())
        return self

    def do(self, script, *arguments):
        return self.driver.execute_script(script, *arguments)

    def press(self, *keys):
        for key in keys:
            ActionChains(self.driver).send_keys(getattr(Keys, key) if len(key) > 1 else key).perform()
            if key == "ESCAPE":  # the browser closes dialogs in its own time
                self.wait("return !document.querySelector('dialog[open]') && !document.activeElement.closest('dialog')")

    def wait(self, script):
        """Until it gives true."""
        WebDriverWait(self.driver, 10, poll_frequency=0.02).until(lambda driver: driver.execute_script(script))

    def find(self, selector):
        return self.driver.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector):
        node = self.find(selector)
        self.do("arguments[0].scrollIntoView({ block: 'center' })", node)  # not below what stays in sight
        node.click()

    def text(self, selector):
        return self.do("return document.querySelector(arguments[0]).textContent", selector).replace("\xa0", " ")

    def is_hidden(self, selector):
        return not self.find(selector).is_displayed()

    def names(self):
        """Of the rows on this screen."""
        return self.do("return [...document.querySelectorAll('.card .name')].map((node) => node.textContent)")

    def current(self):
        """Name of the current row; there is one."""
        (name,) = self.do(
            "return [...document.querySelectorAll('.card[aria-current=true] .name')].map((node) => node.textContent)"
        )
        return name

    def select(self, name, text):
        """Choose an entry of a list."""
        script = """const [node, text] = arguments;
            const option = [...node.options].find((option) => option.text.startsWith(text));
            node.value = option.value; node.dispatchEvent(new Event("change"))"""
        self.do(script, self.find(f"#{name}"), text)

    def entries(self, name):
        """Entries of a list, without the marks around texts that may run the other way."""
        found = self.do("return [...arguments[0].options].map((option) => option.text)", self.find(f"#{name}"))
        return [text.replace("\u2068", "").replace("\u2069", "") for text in found]

    def stored(self):
        """What the browser keeps, by key."""
        return self.do("return Object.fromEntries(Object.entries(localStorage))")

    def decisions(self):
        """What was decided, and the new label, by row; of the only page whose decisions are kept."""
        contents = [json.loads(text) for text in self.stored().values()]
        (content,) = contents or [{"decisions": []}]
        return {each["row"]: (each["decision"], each["label"]) for each in content["decisions"]}

    def save(self):
        """Text of the file that is saved."""
        for path in self.downloads.glob("*"):
            path.unlink()
        self.click("[data-do=save]")
        path = self.downloads / "decisions.json"
        WebDriverWait(self.driver, 10, poll_frequency=0.05).until(lambda _: path.exists() and path.stat().st_size)
        return path.read_bytes().decode("utf-8")

    def load(self, text, name="some.json"):
        path = self.folder / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode("utf-8"))
        self.do("document.querySelector('#said').textContent = ''; document.querySelector('#notice').hidden = true")
        self.find("#file").send_keys(str(path))
        self.wait("return document.querySelector('#said').textContent || !document.querySelector('#notice').hidden")

    def notice(self):
        return (
            "" if self.is_hidden("#notice") else self.text("#notice span").replace("\u2068", "").replace("\u2069", "")
        )

    def size(self, **metrics):
        """Another size of the window, in pixels."""
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.driver.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": metrics["mobile"]})

    def messages(self):
        """Errors and warnings of the console since the last call."""
        time.sleep(0.02)  # the browser tells them in its own time
        return [entry["message"] for entry in self.driver.get_log("browser")]
