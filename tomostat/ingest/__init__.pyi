from .options import IngestOptions
from .source import ArraySource, Reader, Source
from .stream import READERS, choose_reader, ingest_volume, probe

__all__ = [
    "READERS",
    "ArraySource",
    "IngestOptions",
    "Reader",
    "Source",
    "choose_reader",
    "ingest_volume",
    "probe",
]
