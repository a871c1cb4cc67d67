"""Formats that tomostat does not read, by their first bytes, and how to get at the voxels in them."""

from __future__ import annotations

FOREIGN = (
    (0, b"PK\x03\x04", "a zip archive; unpack it and give what is in it"),
    (0, b"\x1f\x8b", "packed by gzip; unpack it with gunzip"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "a Zeiss TXM or TXRM file; export it as a TIFF stack"),
    (0, b"MATLAB 5.0", "a MATLAB file; save the volume as TIFF, or with `save -v7.3`"),
    (128, b"DICM", "a DICOM file; convert the series to NIfTI (dcm2niix) or to a TIFF stack"),
    (0, b"GIF8", "a GIF picture; save it as TIFF"),
    (0, b"BM", "a bitmap (BMP); save it as TIFF"),
    (0, b"%PDF", "a PDF document; give the volume itself"),
    (0, b"<", "a text file of XML or HTML; give the volume itself"),
    (0, b"{", "a text file (JSON); give the volume itself"),
)  # fmt: skip
"""Where in a file its mark stands, the mark, and what the file is and what to do."""


def foreign_format(first_bytes: bytes) -> str | None:
    """What a file is, and what to do, by its first 512 bytes; None where they are of no known format."""
    for place, mark, what in FOREIGN:
        if first_bytes[place : place + len(mark)] == mark:
            return what
    return None
