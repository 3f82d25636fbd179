"""Sections and symbols of ELF files of 64 bits in little-endian order, as CUDA's compiler and shared libraries are
(System V ABI, "Object Files").
"""

import struct
from typing import NamedTuple

MAGIC = b"\x7fELF\x02\x01"
FILE_HEADER = struct.Struct("<40xQ10xHHH")  # where section headers begin, the size of each, how many, the place of names
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
NO_BITS, FUNCTION = 8, 2


class Section(NamedTuple):
    """A part of an ELF file; `size` counts the bytes that it has in memory, of which the file may have none."""

    name: str
    content: memoryview
    size: int
    link: int  # of a table of symbols: the place of the section that their names lie in


class Symbol(NamedTuple):
    """A name of something in an ELF file."""

    place: int
    name: str
    kind: int
    other: int
    value: int


def sections(data: memoryview) -> list[Section]:
    """The sections of a file, in its order. Raises ValueError for what is no such file, or not whole."""
    if data[: len(MAGIC)] != MAGIC:
        raise ValueError("this is no ELF file of 64 bits")
    try:
        start, size, count, names = FILE_HEADER.unpack_from(data)
        headers = [SECTION_HEADER.unpack(_piece(data, start + size * place, SECTION_HEADER.size)) for place in range(count)]
        pieces = [_piece(data, at, 0 if kind == NO_BITS else length) for _, kind, _, _, at, length, *_ in headers]
        texts = bytes(pieces[names])
    except (struct.error, IndexError) as error:
        raise ValueError(f"this ELF file is not whole: {error}") from None
    return [Section(_text(texts, name), piece, length, link) for piece, (name, _, _, _, _, length, link, *_) in zip(pieces, headers, strict=True)]


def symbols(found: list[Section]) -> list[Symbol]:
    """The symbols that a file's sections tell of. Raises ValueError where they cannot be read."""
    table = named(found, ".symtab")
    if table is None:
        return []
    try:
        texts = bytes(found[table.link].content)
        rows = list(SYMBOL.iter_unpack(table.content))
    except (struct.error, IndexError) as error:
        raise ValueError(f"this ELF file is not whole: {error}") from None
    return [Symbol(place, _text(texts, name), info & 15, other, value) for place, (name, info, other, _, value, _) in enumerate(rows)]


def named(found: list[Section], name: str) -> Section | None:
    """The first section of a name, or None."""
    return next((section for section in found if section.name == name), None)


def _piece(data: memoryview, at: int, length: int) -> memoryview:
    if at + length > len(data):
        raise IndexError(f"it has {len(data)} bytes, and a part of it ends at {at + length}")
    return data[at : at + length]


def _text(texts: bytes, at: int) -> str:
    return texts[at : texts.index(b"\0", at)].decode()
