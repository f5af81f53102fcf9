"""A real JupyterLab and a real browser, for the tests of the widgets and the benchmarks of the studio."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.request import urlopen

from playwright.sync_api import Page, sync_playwright

SHOTS = os.environ.get("CAPLORA_SCREENSHOTS")  # a folder to leave pictures of the pages in
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)


@contextmanager
def jupyterlab(root: Path) -> Iterator[str]:
    """A JupyterLab server over `root`; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home = root / ".home"
    env = os.environ | {"JUPYTER_CONFIG_DIR": str(home), "JUPYTER_DATA_DIR": str(home), "IPYTHONDIR": str(home)}
    flags = ["--no-browser", f"--port={port}", "--IdentityProvider.token=", f"--ServerApp.root_dir={root}"]
    flags += ["--allow-root", "--LabApp.news_url=None"]
    with (root / "lab.log").open("wb") as log:
        server = subprocess.Popen([sys.executable, "-m", "jupyter", "lab", *flags], stdout=log, stderr=log, env=env)
        try:
            address = f"http://127.0.0.1:{port}"
            for _ in range(240):
                with suppress(OSError), urlopen(f"{address}/api"):
                    break
                time.sleep(0.25)
            yield address
        finally:
            server.terminate()
            server.wait(30)


@contextmanager
def browser_page() -> Iterator[Page]:
    with sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page(viewport={"width": 1400, "height": 1150})
        page.set_default_timeout(120_000)
        try:
            yield page
        finally:
            if SHOTS:
                page.screenshot(path=Path(SHOTS) / "last.png")
            browser.close()


def run_all(page: Page, shown: str = ".caplora-studio[data-current]") -> None:
    """Run every cell and wait for what is to be shown: the studio."""
    page.get_by_text("| Idle").wait_for()  # or JupyterLab asks which kernel to take
    page.get_by_text("Run", exact=True).first.click()
    page.get_by_text("Run All Cells", exact=True).click()
    page.wait_for_selector(shown)


def press(page: Page, key: str) -> None:
    """Press a key that goes on to another image, and wait until that is shown."""
    before = page.locator(".caplora-studio").get_attribute("data-current")
    page.keyboard.press(key)
    page.wait_for_function("b => document.querySelector('.caplora-studio').dataset.current !== b", arg=before)
