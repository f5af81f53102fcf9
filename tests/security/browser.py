"""A real browser that opens what caplora has written, and what it then did: scripts that ran, and what it asked for."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request

from tests.lab import CHROMIUM, browser_page

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (apt-get install chromium)")
OWN = ("data:", "blob:", "about:")
RENDER = """async ({script, values}) => {
  const address = URL.createObjectURL(new Blob([script], { type: "text/javascript" }));
  const widget = (await import(address)).default;
  const model = { get: (name) => values[name], on: () => {}, off: () => {}, send: () => {} };
  widget.render({ model, el: document.body });
}"""


@dataclass
class Browser:
    """A page of a browser that keeps no secrets: `asked` is every address but those within a page."""

    page: Page
    asked: list[str] = field(default_factory=list)

    def open(self, path: Path) -> None:
        """Open a file; it is no request of its own."""
        self.page.goto(path.as_uri())
        self.asked = [address for address in self.asked if address != path.as_uri()]
        self._click_all()

    def show(self, html: str) -> None:
        """Show HTML as a trusted front end does: nothing is taken out of it."""
        self.page.set_content(f"<!doctype html><body>{html}</body>")
        self._click_all()

    def widget(self, script: str, **values: Any) -> None:
        """Render a widget whose kernel says these values and answers nothing."""
        self.page.goto("about:blank")
        self.page.evaluate(RENDER, {"script": script, "values": values})
        self._click_all()

    def text(self) -> str:
        """What a person reads or types over, in one line."""
        typed = self.page.evaluate("[...document.querySelectorAll('textarea,input')].map(e => e.value).join(' ')")
        return " ".join(f"{self.page.inner_text('body')} {typed}".split())

    def ran(self) -> Any:
        """What a script of the payload leaves; None if none ran."""
        return self.page.evaluate("window.ran ?? null")

    def _click_all(self) -> None:
        """Click whatever is a link: none may run a script."""
        self.page.wait_for_timeout(50)
        for link in self.page.locator("a[href^='javascript:' i]").all():
            link.click(timeout=1000)


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser that knows no other machine."""
    with browser_page() as page:
        opened = Browser(page)

        def asked(request: Request) -> None:
            if not request.url.startswith(OWN):
                opened.asked.append(request.url)

        page.on("request", asked)
        page.on("dialog", lambda dialog: (opened.asked.append(f"dialog {dialog.message}"), dialog.dismiss()))
        page.route(lambda address: not address.startswith(("file:", *OWN)), lambda route: route.abort())
        yield opened
