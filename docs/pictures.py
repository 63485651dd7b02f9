"""Run the three tutorials of the audit, and take their pictures: ``python docs/pictures.py FOLDER``.

It needs the extra "audit", selenium, and chromium with its driver. In FOLDER it makes the data and runs the commands;
opens the page, decides as somebody who knows the right labels, and saves the decisions. The pictures are written to
``docs/_static``, and what the commands print to the pages, below the same commands. More arguments name tutorials:
table, texts, images.
"""

import csv
import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from PIL import Image
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.support.ui import WebDriverWait

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1200, 900
PRINTED = {}  # by command


class Page:
    """A page in a browser, and somebody who knows the right labels."""

    def __init__(self, path, right, given):
        options = webdriver.ChromeOptions()
        options.binary_location = shutil.which("chromium")
        for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"):
            options.add_argument(argument)
        options.add_experimental_option("prefs", {"download.default_directory": str(Path.cwd())})
        service = webdriver.ChromeService(shutil.which("chromedriver"))
        self.driver = webdriver.Chrome(options=options, service=service)
        metrics = {"width": WIDTH, "height": HEIGHT, "deviceScaleFactor": 1, "mobile": False}
        self.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        self.right, self.given = right, given
        self.driver.get(path.resolve().as_uri())

    def see(self, script):
        return self.driver.execute_script(f"return {script}")

    def press(self, keys):
        for key in keys:
            ActionChains(self.driver).send_keys(key).perform()

    def decide(self, n):
        for _ in range(n):
            name = self.see("document.querySelector('.card[aria-current=true] .name').textContent")
            right, given = self.right[name], self.given[name]
            suggested = self.see("document.querySelector('.card[aria-current=true] .take b').textContent")
            labels = self.see("[...document.querySelectorAll('#labels button span')].map((node) => node.textContent)")
            if right == given:
                self.press("k")
            elif right == suggested:
                self.press("t")
            else:
                self.press(str(labels.index(right) + 1))

    def picture(self, name):
        image = Image.open(io.BytesIO(self.driver.get_screenshot_as_png())).convert("RGB")
        image.quantize(128, dither=Image.Dither.NONE).save(HERE / "_static" / f"{name}.png", optimize=True)

    def save(self):
        Path("decisions.json").unlink(missing_ok=True)
        self.press("s")
        WebDriverWait(self.driver, 10).until(lambda _: Path("decisions.json").exists())
        self.driver.quit()


def run(command):
    """Run a command of a tutorial, and keep what it prints, but for a progress bar."""
    program, rest = command.split(" ", 1)
    words = f"{sys.executable} {'-m acestimator' if program == 'acestimator' else ''} {rest}"
    done = subprocess.run(words, shell=True, capture_output=True, text=True, check=False, env=os.environ)
    if done.returncode:
        sys.exit(f"$ {command}\n{done.stdout}{done.stderr}")
    PRINTED[command] = done.stdout.strip()
    print(f"$ {command}\n{PRINTED[command]}", flush=True)


def put_outputs(page):
    """Write what was printed below the commands of a page."""

    def block(found):
        commands = re.findall(r"^\$ (.+)$", found[1], re.MULTILINE)
        lines = [line for command in commands for line in (f"$ {command}", PRINTED[command]) if line]
        return "```console\n" + "\n".join(lines) + "\n```"

    text = page.read_text(encoding="utf-8")
    page.write_text(re.sub(r"```console\n(.*?)\n```", block, text, flags=re.DOTALL), encoding="utf-8")


def column(path, name):
    with open(path, newline="", encoding="utf-8") as file:
        return [row[name] for row in csv.DictReader(file)]


def labels_of(right):
    """Right and given labels by the names of the rows."""
    names, given = column("audit/label_issues.csv", "name"), column("audit/label_issues.csv", "given_label")
    return dict(zip(names, right, strict=True)), dict(zip(names, given, strict=True))


def table():
    run("python make_table.py")
    run("acestimator audit patients.csv --label diagnosis --id patient")
    page = Page(Path("audit/review.html"), *labels_of(column("patients_right.csv", "diagnosis")))
    page.decide(4)
    page.picture("audit-table")
    page.decide(116)
    page.picture("audit-table-later")
    page.decide(6)
    page.save()
    run("acestimator apply patients.csv decisions.json --out patients.clean.csv")
    run("python count_right.py patients_right.csv patients.csv patients.clean.csv")
    run("acestimator audit patients.csv --label diagnosis --id patient --reviewed decisions.json --out second")


def texts():
    run("python make_texts.py")
    run("acestimator audit functions.csv --label part")
    page = Page(Path("audit/review.html"), *labels_of(column("functions_right.csv", "part")))
    page.decide(5)
    page.picture("audit-texts")
    page.decide(95)
    page.press("/op")
    page.picture("audit-texts-other")
    page.driver.execute_script("document.querySelector('#other').close()")
    page.save()
    run("acestimator apply functions.csv decisions.json --out functions.clean.csv")
    run("acestimator audit functions.csv --label part --reviewed decisions.json --out second")
    run("acestimator apply functions.csv second --all-suggested --above 0.5 --out functions.more.csv")
    files = "functions.csv functions.clean.csv functions.more.csv"
    run(f"python count_right.py functions_right.csv {files}")


def images():
    run("python make_images.py")
    run("acestimator audit digits")
    right = dict(zip(column("digits_right.csv", "file"), column("digits_right.csv", "label"), strict=True))
    names = column("audit/label_issues.csv", "name")
    page = Page(Path("audit/review.html"), *labels_of([right[Path(name).name] for name in names]))
    page.decide(9)
    page.picture("audit-images")
    page.decide(231)
    page.press("o")
    page.picture("audit-images-open")
    page.driver.execute_script("document.querySelector('#picture').close()")
    page.save()
    run("acestimator apply digits decisions.json --out digits.clean")
    run("python count_right.py digits_right.csv digits digits.clean")


if __name__ == "__main__":
    root = Path(sys.argv[1]).resolve()
    for tutorial in (table, texts, images):
        if len(sys.argv) > 2 and tutorial.__name__ not in sys.argv[2:]:
            continue
        folder = root / tutorial.__name__
        shutil.copytree(HERE / "data", folder)  # the scripts
        os.chdir(folder)
        tutorial()
        put_outputs(HERE / f"audit-{tutorial.__name__}.md")
