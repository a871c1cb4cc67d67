from .choose import (
    READERS,
    FoundSource,
    choose_reader,
    choose_spacing,
    field_shape,
    find_source,
    open_source,
    probe,
    split_dataset,
)
from .given import check_images, copy_images, field_size, find_images, given_spacing, scan_images
from .labels import NUMBER_THEM, as_labels
from .options import IngestOptions
from .rendered import render_volume
from .source import ArraySource, Reader, Source, SourceRecord
from .stream import ingest_volume

__all__ = [
    "NUMBER_THEM",
    "READERS",
    "ArraySource",
    "FoundSource",
    "IngestOptions",
    "Reader",
    "Source",
    "SourceRecord",
    "as_labels",
    "check_images",
    "choose_reader",
    "choose_spacing",
    "copy_images",
    "field_shape",
    "field_size",
    "find_images",
    "find_source",
    "given_spacing",
    "ingest_volume",
    "open_source",
    "probe",
    "render_volume",
    "scan_images",
    "split_dataset",
]
