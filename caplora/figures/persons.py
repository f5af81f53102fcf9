"""The faces of a folder, told apart → who is in it: the aligned faces, a row per person, and how alike they all are."""

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.ticker import MaxNLocator

from caplora.figures.look import INK, MUTED, STYLE, WIDTH, Figure, footnote
from caplora.images import Persons
from caplora.study import counted

ROWS, ACROSS = 8, 6  # persons, and faces of each, that are shown at most
FACE = 0.62  # inches
MATRIX = 3.0  # inches
SIDE = 600  # faces across the matrix at most: more would be finer than a pixel


@rc_context(STYLE)
def persons_figure(persons: Persons) -> Figure:
    """The first faces of each person, the folder's own on top; beside them the cosine of every two faces.

    Faces whose mean cosine reaches `persons.same` are one person's. The matrix has the faces in the order of persons.
    """
    count = int(persons.numbers.max(initial=0))
    rows = min(count, ROWS)
    height = max(MATRIX + 1.25, 0.75 + rows * (FACE + 0.22) + 0.3)
    figure = Figure((WIDTH, height))
    for row in range(rows):
        _person(figure, persons, row + 1, height - 0.45 - row * (FACE + 0.22), height)
    figure.text(0.08 / WIDTH, 1 - 0.1 / height, "Whose faces they are", va="top", fontweight="bold")
    if persons.faces:
        axes = figure.add_axes((4.4 / WIDTH, (height - 0.45 - MATRIX) / height, MATRIX / WIDTH, MATRIX / height))
        _matrix(figure, axes, persons)
    left = f" The first {ROWS} persons are shown." if count > ROWS else ""
    said = f"n = {len(persons.faces)} faces in {len(persons.pictures)} pictures. One person: a mean cosine from"
    footnote(figure, f"{said} {persons.same:g} on (images.faces.encoder.same).{left}")
    return figure


def _person(figure: Figure, persons: Persons, number: int, top: float, height: float) -> None:
    """A person's row: number, how many faces, and the first of them."""
    faces = [face for face, whose in zip(persons.faces, persons.numbers, strict=True) if whose == number]
    own, pictures = [one for _, one in faces], len({source for source, _ in faces})
    name = f"Person {number}" + (", the folder's" if number == 1 and persons.likeness is not None else "")
    shown = f", {ACROSS} shown" if len(own) > ACROSS else ""
    under = (0.08 / WIDTH, (top + 0.04) / height)
    figure.text(*under, f"{name}: {counted(len(own), 'face')} in {counted(pictures, 'picture')}{shown}", fontsize=7.5)
    for i, one in enumerate(own[:ACROSS]):
        place = (0.08 + i * (FACE + 0.04)) / WIDTH, (top - FACE) / height, FACE / WIDTH, FACE / height
        axes = figure.add_axes(place)
        axes.imshow(one.aligned)
        axes.axis("off")


def _matrix(figure: Figure, axes: Axes, persons: Persons) -> None:
    """The cosines, the faces of one person together, with lines between persons."""
    every = -(-len(persons.faces) // SIDE)
    order = np.argsort(persons.numbers, kind="stable")[::every]
    made, numbers = persons.embeddings[order], persons.numbers[order]
    shown = axes.imshow(made @ made.T, cmap=_shades(persons.same), vmin=-0.2, vmax=1)
    ends = np.cumsum(np.bincount(numbers)[1:])
    for end in ends[:-1]:
        axes.axhline(end - 0.5, color=INK, lw=0.6)
        axes.axvline(end - 0.5, color=INK, lw=0.6)
    middles = (np.concatenate([[0], ends[:-1]]) + ends - 1) / 2
    named = range(min(len(middles), ROWS))
    axes.set_xticks(middles[: len(named)], [str(k + 1) for k in named])
    axes.set_yticks(middles[: len(named)], [str(k + 1) for k in named])
    axes.set_xlabel("person", fontsize=8)
    axes.tick_params(length=0, labelsize=7.5, colors=MUTED)
    axes.grid(False)
    axes.set_title("How alike two faces are" + (f", every {every}th" if every > 1 else ""), fontsize=9)
    bar = figure.colorbar(shown, ax=axes, fraction=0.046, pad=0.03)
    bar.set_label("cosine", fontsize=8)
    bar.ax.axhline(persons.same, color=INK, lw=1)
    bar.ax.tick_params(labelsize=7.5)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5))


def _shades(same: float) -> ListedColormap:
    """Greys below the limit, greens above it, over −0.2 … 1."""
    values = np.linspace(-0.2, 1, 256)
    grey, green = np.array([0.62, 0.62, 0.62]), np.array([0.0, 0.35, 0.26])
    below = np.clip((values + 0.2) / max(same + 0.2, 1e-9), 0, 1)[:, None]
    above = np.clip((values - same) / max(1 - same, 1e-9), 0, 1)[:, None]
    light = np.array([0.78, 0.91, 0.85])
    return ListedColormap(
        np.where(values[:, None] < same, 1 - below * (1 - grey) * 0.7, light + above * (green - light))
    )
