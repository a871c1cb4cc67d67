from .choose import READERS, FoundSource, choose_reader, find_source, probe
from .options import IngestOptions
from .source import ArraySource, Reader, Source, SourceRecord
from .stream import ingest_volume

__all__ = [
    "READERS",
    "ArraySource",
    "FoundSource",
    "IngestOptions",
    "Reader",
    "Source",
    "SourceRecord",
    "choose_reader",
    "find_source",
    "ingest_volume",
    "probe",
]
