"""Text of gdsim's own in Markdown."""

ESCAPES = str.maketrans({letter: f"\\{letter}" for letter in "|<*$"})


def cell(text: str) -> str:
    """Text on one line, whose marks Markdown leaves alone."""
    return " ".join(text.split()).translate(ESCAPES)
