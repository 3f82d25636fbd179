"""The figure that functions of this room return: a matplotlib Figure that shows itself and says what is on
it.
"""

import base64
import io
import pathlib
import sys
import textwrap
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure as MatplotlibFigure
from PIL import Image

CAPTION_POINTS, LINE_POINTS = 7.5, 10.0
# The mean width of a letter, as a share of the letters' size.
LETTER = 0.52


class Figure(MatplotlibFigure):
    """A matplotlib Figure that needs no screen and no pyplot, and shows itself as the last line of a
    notebook's cell.

    `caption` says what is drawn, of how many runs, and what may mislead; it stands small under the panels.

    >>> Figure(figsize=(4.0, 3.0)).caption
    ''
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **{"layout": "constrained", **options})
        FigureCanvasAgg(self)
        self.caption = ""
        self._caption_inches = 0.0
        self._caption_text: Any = None

    def set_caption(self, text: str) -> None:
        """Writes a caption under the panels, which keep their size: the figure grows by its lines.

        An empty one takes it away.
        """
        width, height = self.get_size_inches()
        if self._caption_text is not None:
            self._caption_text.remove()
            self._caption_text, height = None, height - self._caption_inches
        self.caption = text
        lines = textwrap.wrap(text, max(20, int((width - 0.2) * 72 / (CAPTION_POINTS * LETTER))))
        self._caption_inches = (len(lines) + 0.6) * LINE_POINTS / 72 if lines else 0.0
        height += self._caption_inches
        self.set_size_inches(width, height)
        share = self._caption_inches / height
        engine: Any = self.get_layout_engine()
        if engine is not None:
            engine.set(rect=(0.0, share, 1.0, 1.0 - share))
        if lines:
            place = {"x": 0.1 / width, "y": 0.05 / height, "ha": "left", "va": "bottom", "linespacing": LINE_POINTS / CAPTION_POINTS / 1.2}
            self._caption_text = self.text(s="\n".join(lines), fontsize=CAPTION_POINTS, color="#444444", **place)

    def _repr_png_(self) -> bytes:
        """What a notebook shows where matplotlib has not told it how."""
        return png_of(self)

    def show(self, warn: bool = True) -> None:
        """Shows the figure in a notebook, or else by the program with which this machine opens pictures;
        where there is none, says how to keep it.
        """
        ipython: Any = sys.modules.get("IPython")
        if ipython is not None and getattr(ipython.get_ipython(), "kernel", None) is not None:
            ipython.display.display(self)
            return
        from PIL import ImageShow  # and with it IPython, where there is one

        with Image.open(io.BytesIO(self._repr_png_())) as picture:
            opened = ImageShow.show(picture)
        if warn and not opened:
            sys.stderr.write("nothing on this machine shows pictures: keep the figure with savefig('name.png')\n")


def png_of(figure: MatplotlibFigure, dots_per_inch: float | None = None) -> bytes:
    """A figure as the bytes of a PNG, in its own resolution if none is given.

    It is drawn once: its `savefig` draws a figure twice, the first time to lay it out.
    """
    sink, own = io.BytesIO(), figure.dpi
    canvas: Any = figure.canvas  # of Agg, as is that of every figure of this room
    figure.set_dpi(dots_per_inch or own)
    try:
        canvas.print_png(sink)
    finally:
        figure.set_dpi(own)
    return sink.getvalue()


def png_text(figure: MatplotlibFigure, dots_per_inch: float) -> str:
    """A figure as a page of HTML holds it."""
    return base64.b64encode(png_of(figure, dots_per_inch)).decode()


def page_from(template: pathlib.Path, **values: Any) -> str:
    """A page of HTML from a template of Jinja, all of whose names must have values."""
    import jinja2  # which pictures do not need

    page = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(template.read_text(encoding="utf-8"))
    return page.render(**values)
