"""How fast the review studio is, in a real JupyterLab and Chromium: opening it, and from a key to the next picture.

    python benchmarks/studio.py              # 100 portraits, 512 pixels each

Opening is from the start of the cell to the last thumbnail in sight; a key is from the press to the picture having been
decoded and drawn. A hundred keys, the median and the slowest.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import nbformat
from PIL import Image
from playwright.sync_api import Page

from caplora.captions.cleaning import compose
from caplora.captions.ledger import Row, write_ledger
from caplora.mini.world.portraits import PORTRAITS
from caplora.study.study import read_study
from tests.lab import browser_page, jupyterlab, run_all

CELL = (
    """
from pathlib import Path
from caplora.review.checks import checks_of
from caplora.review.studio import Studio
from caplora.study.study import read_study
checks = checks_of(read_study("mini"), {{}})
""",
    """
Studio(Path({folder!r}), checks)
""",
)
NEXT = """([key, before]) => new Promise((done) => {
  const root = document.querySelector(".caplora-studio"), picture = root.querySelector(".caplora-picture");
  const began = performance.now();
  const look = () => {
    if (root.dataset.current !== before && picture.src && picture.complete && picture.naturalWidth)
      requestAnimationFrame(() => done(performance.now() - began));
    else requestAnimationFrame(look);
  };
  root.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
  look();
})"""
DRAWN = """() => {
  const strip = document.querySelector(".caplora-strip"), right = strip?.getBoundingClientRect().right;
  const thumbs = [...(strip?.querySelectorAll(".caplora-thumb") ?? [])];
  const seen = thumbs.filter((thumb) => thumb.getBoundingClientRect().right <= right);
  return seen.length > 0 && seen.every((thumb) => thumb.firstChild.complete && thumb.firstChild.naturalWidth);
}"""


def data_set(folder: Path, count: int, pixels: int) -> None:
    """`count` portraits of `pixels` a side with pending captions."""
    folder.mkdir()
    said = "a pencil drawing of a woman with long red hair, smiling, in a blue shirt, in soft light, by the sea"
    subject, rows = read_study("mini").captioning.subject, []
    for i, path in zip(range(count), sorted(PORTRAITS.glob("*.png")) * count, strict=False):
        name = f"portrait_{i:04d}.png"
        Image.open(path).convert("RGB").resize((pixels, pixels)).save(folder / name)
        text = compose(f"{said}, number {i}", subject)
        rows.append(Row(name, text, f"{said}, number {i}", suggestion=text))
    write_ledger(folder, rows)


def keys(page: Page, key: str, times: int) -> list[float]:
    """Milliseconds from each press of a key to the next picture."""
    took = []
    for _ in range(times):
        before = page.locator(".caplora-studio").get_attribute("data-current")
        took.append(page.evaluate(NEXT, [key, before]))
    return took


def browsed(images: int, pixels: int) -> tuple[float, dict[str, list[float]]]:
    """Seconds until the studio of so many portraits is open, and the milliseconds of each press of three keys."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        data_set(root / "faces", images, pixels)
        cells = [nbformat.v4.new_code_cell(cell.format(folder=str(root / "faces"))) for cell in CELL]
        kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
        nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), root / "studio.ipynb")
        with jupyterlab(root) as address, browser_page() as page:
            page.goto(f"{address}/lab/tree/studio.ipynb?reset")
            page.wait_for_selector(".jp-NotebookPanel .jp-Cell")
            run_all(page)
            page.get_by_text("Run", exact=True).first.click()  # once more, with everything imported
            began = time.perf_counter()
            page.get_by_text("Run Selected Cell", exact=True).first.click()
            page.wait_for_function(DRAWN)
            opening = time.perf_counter() - began
            presses = {"next (n)": ("n", 50), "keep (k)": ("k", 40), "undo (u)": ("u", 10)}
            return opening, {key: keys(page, letter, times) for key, (letter, times) in presses.items()}


def main() -> None:
    """Print the table."""
    top = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    top.add_argument("--images", type=int, default=100)
    top.add_argument("--pixels", type=int, default=512)
    given = top.parse_args()
    opening, table = browsed(given.images, given.pixels)
    print(f"{given.images} images of {given.pixels} pixels: the studio is open after {opening:.2f} s\n")
    print("| key | median, ms | slowest, ms | presses |\n|---|---|---|---|")
    for key, took in table.items():
        print(f"| {key} | {statistics.median(took):.0f} | {max(took):.0f} | {len(took)} |")


if __name__ == "__main__":
    main()
