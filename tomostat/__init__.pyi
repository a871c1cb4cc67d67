from .analyze import AnalyzeOptions, analyze_particles
from .audit import Audit
from .cluster import open_cluster
from .datasets import open_particles
from .detect import DetectOptions, Detector, TrainOptions, detect_instances
from .execution import Execution
from .ingest import IngestOptions, Reader, ingest_volume
from .instances import Instances, read_instances
from .layout import Layout
from .measure import (
    Measure,
    MeasureOptions,
    measure_particles,
    of_field,
    of_particle,
    open_contacts,
)
from .phantom import PhantomOptions, simulate_volume
from .phase import Phase, PhaseFit
from .phases import PhasesOptions, segment_phases
from .pipeline import run
from .postprocess import export_study
from .preview import preview
from .report import ReportOptions, write_report
from .simulation import simulate_study
from .stitch import StitchOptions, stitch_particles
from .study import Study, load_study, study_of_volume
from .volume import describe, open_flat, open_volume, read_fit

__version__: str

__all__ = [
    "AnalyzeOptions",
    "Audit",
    "DetectOptions",
    "Detector",
    "Execution",
    "IngestOptions",
    "Instances",
    "Layout",
    "Measure",
    "MeasureOptions",
    "PhantomOptions",
    "Phase",
    "PhaseFit",
    "PhasesOptions",
    "Reader",
    "ReportOptions",
    "StitchOptions",
    "Study",
    "TrainOptions",
    "__version__",
    "analyze_particles",
    "describe",
    "detect_instances",
    "export_study",
    "ingest_volume",
    "load_study",
    "measure_particles",
    "of_field",
    "of_particle",
    "open_cluster",
    "open_contacts",
    "open_flat",
    "open_particles",
    "open_volume",
    "preview",
    "read_fit",
    "read_instances",
    "run",
    "segment_phases",
    "simulate_study",
    "simulate_volume",
    "stitch_particles",
    "study_of_volume",
    "write_report",
]
