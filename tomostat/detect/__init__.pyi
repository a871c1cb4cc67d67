from .checkpoint import Checkpoint, TrainingRecord, load_checkpoint, save_checkpoint
from .detector import DETECTORS, Detector, MakeDetector, make_detector
from .detectors.watershed import WatershedDetector
from .instances import detect_instances, detect_tasks
from .kernels.activation import activation_map
from .kernels.maskrcnn import build
from .options import DetectOptions, TrainOptions
from .predict import NetworkDetector

__all__ = [
    "DETECTORS",
    "Checkpoint",
    "DetectOptions",
    "Detector",
    "MakeDetector",
    "NetworkDetector",
    "TrainOptions",
    "TrainingRecord",
    "WatershedDetector",
    "activation_map",
    "build",
    "detect_instances",
    "detect_tasks",
    "load_checkpoint",
    "make_detector",
    "save_checkpoint",
]
