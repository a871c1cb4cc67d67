from .read import AnnotatedSlice, as_slices, read_annotations, read_labelled_volume

__all__ = ["AnnotatedSlice", "as_slices", "read_annotations", "read_labelled_volume"]
