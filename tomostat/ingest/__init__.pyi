from .choose import READERS, FoundSource, choose_reader, find_source, open_source, probe
from .labels import as_labels
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
    "as_labels",
    "choose_reader",
    "find_source",
    "ingest_volume",
    "open_source",
    "probe",
]
