"""A study: samples under conditions, their fields of view, and the options of every stage. Read from YAML."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tomostat.files import read_yaml, write_text
from tomostat.messages import shorten
from tomostat.options import StageOptions, from_dict, refuse_unknown
from tomostat.phase import Phase
from tomostat.stage import all_stages


def option_classes() -> dict[str, type[StageOptions]]:
    """Class of options of every stage that has any, in the order of the data's way."""
    return {stage.name: stage.options for stage in all_stages() if stage.part_of is None}


PATHS = ("path", "labels", "phases_image")
"""Images of a field."""

NAME_RULE = "expected letters, digits, '.', '_' and '-'"


def is_name(text: str) -> bool:
    """Whether a text can be part of the names of files."""
    return re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", text) is not None


@dataclass(frozen=True, kw_only=True)
class Field:
    """One field of view.

    Attributes
    ----------
    path
        The volume, in any format that `ingest` reads, a dataset in a file of several after a colon
        (``FILE.h5:/entry/data``); None for a field of which only labels or phases are given.
    name
        Name of the field, unique in the study; made of the path's stem when not given.
    spacing
        Voxel size (z, y, x) in micrometers; the study's, else the file's, when not given.
    density_scale, density_offset
        Refractive decrement delta = grey * scale + offset; without them only relative density is reported.
    offset
        Place (z, y, x) in micrometers of the first voxel in the sample's frame: particles in the overlap of fields of
        one sample are then counted once.
    labels
        Particles that another program found, in any format that `ingest` reads: whole numbers, 0 for background. The
        stages detect and stitch are then left out.
    phases_image
        Phases that another program segmented.
    phase_codes
        Name of the phase (pore, cbd, active, collector, outside) by the value that stands for it in `phases_image`.
    """

    path: Path | None = None
    name: str = ""
    spacing: tuple[float, float, float] | None = None
    density_scale: float | None = None
    density_offset: float | None = None
    offset: tuple[float, float, float] | None = None
    labels: Path | None = None
    phases_image: Path | None = None
    phase_codes: Mapping[int, str] | None = None

    def __post_init__(self) -> None:
        for name in PATHS:
            if getattr(self, name) is not None:
                object.__setattr__(self, name, Path(getattr(self, name)))
        image = self.path or self.labels or self.phases_image
        if image is None:
            raise ValueError("a field has no path; give the path of its volume, or labels or phases_image")
        object.__setattr__(self, "name", self.name or _name_from(image))
        if not is_name(self.name):
            raise ValueError(f"field name is {shorten(self.name)}; {NAME_RULE} (--name, or name: in a study file)")
        if self.spacing is not None:
            object.__setattr__(self, "spacing", _spacing(self.spacing, "spacing"))
        for name in ("density_scale", "density_offset"):
            value = getattr(self, name)
            if value is not None and not _is_number(value):
                raise ValueError(f"{name} is {shorten(value)}; expected a number such as 1.2e-9")
        if (self.density_scale is None) != (self.density_offset is None):
            raise ValueError("density_scale and density_offset belong together; give both or none")
        if self.offset is not None:
            object.__setattr__(self, "offset", _offset(self.offset, f"offset of field {self.name!r}"))
        if (self.phases_image is None) != (self.phase_codes is None):
            raise ValueError("phases_image and phase_codes belong together; give both or none")
        if self.phase_codes is not None:
            object.__setattr__(self, "phase_codes", _phase_codes(self.phase_codes))

    @property
    def particles_given(self) -> bool:
        """Whether another program found the particles."""
        return self.labels is not None

    @property
    def phases_given(self) -> bool:
        """Whether another program segmented the phases; without grey values they follow from its labels."""
        return self.phases_image is not None or self.path is None


@dataclass(frozen=True, kw_only=True)
class Sample:
    """A piece of electrode and its fields of view.

    Attributes
    ----------
    name
        Name of the sample, unique in the study.
    fields
        Its fields of view.
    condition
        What was done to it, such as the charging rate.
    """

    name: str
    fields: tuple[Field, ...]
    condition: str = "unknown"

    def __post_init__(self) -> None:
        without = [field.name for field in self.fields if field.offset is None]
        if 0 < len(without) < len(self.fields):
            raise ValueError(
                f"sample {self.name!r}: field {without[0]!r} has no offset and others have; give all its fields or none"
            )


@dataclass(frozen=True, kw_only=True)
class Study:
    """Samples and conditions that are analysed together.

    Attributes
    ----------
    study
        Name of the study.
    output
        Output folder; made absolute, since workers may have been started in another folder.
    samples
        The samples.
    options
        Options of every stage by its name.
    """

    study: str
    output: Path
    samples: tuple[Sample, ...]
    options: Mapping[str, StageOptions] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "output", Path(self.output).absolute())
        object.__setattr__(
            self, "options", {name: self.options.get(name, cls()) for name, cls in option_classes().items()}
        )
        for what, names in (
            ("sample", [item.name for item in self.samples]),
            ("field", [item.name for item in self.fields]),
        ):
            twice = sorted({name for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"two {what}s are named {twice[0]!r}; give each a name of its own")
        if not self.fields:
            raise ValueError("the study has no field; name at least one under samples")
        images: dict[tuple[Path | None, ...], str] = {}
        for one in self.fields:
            paths = [getattr(one, name) for name in PATHS]
            same = images.setdefault(tuple(path and path.absolute() for path in paths), one.name)
            if same != one.name:
                raise ValueError(
                    f"fields {same!r} and {one.name!r} are of the same file, {next(filter(None, paths))}; an image "
                    "compared with itself tells nothing"
                )

    @property
    def fields(self) -> tuple[Field, ...]:
        """All fields of all samples."""
        return tuple(item for sample in self.samples for item in sample.fields)

    def field(self, name: str) -> Field:
        """A field by its name.

        Raises
        ------
        ValueError
            When there is none of that name.
        """
        for one in self.fields:
            if one.name == name:
                return one
        raise ValueError(f"there is no field {name!r}; fields are {', '.join(one.name for one in self.fields)}")

    def sample_of(self, field: Field) -> Sample:
        """The sample that a field belongs to."""
        return next(sample for sample in self.samples if field in sample.fields)

    def with_options(self, **given: StageOptions | None) -> Study:
        """The same study with options laid over its own, stage by stage; only fields that were given count."""
        options = dict(self.options)
        for stage, over in given.items():
            if over is not None:
                options[stage] = over.over(options[stage])
        return dataclasses.replace(self, options=options)


def load_study(path: str | Path, *, record: bool = False) -> Study:
    """Read a study file.

    Parameters
    ----------
    path
        YAML with the keys ``study``, ``output``, ``spacing`` (micrometers, z y x), ``samples`` (``name``,
        ``condition``, ``fields`` with the attributes of `Field`) and a section for every stage that is not to run by
        its defaults. Paths are relative to the file.
    record
        The file is what tomostat itself noted in an output folder: it may name plugins as ``module:object``.

    Raises
    ------
    FileNotFoundError
        When there is no such file.
    ValueError
        When it is no YAML, a key is unknown or missing, or a value is off; the message names the place.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no study file at {path}")
    content = read_yaml(path, text=("study", "output", "name", "condition", *PATHS))
    if not isinstance(content, dict):
        raise ValueError(f"{path} holds no study; expected keys such as study, output and samples")
    try:
        return _parse(content, path.resolve().parent, path.stem, record)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path}: {error}") from None


def _parse(content: dict[str, Any], folder: Path, stem: str, record: bool) -> Study:
    known = {"study", "output", "spacing", "samples", *option_classes()}
    refuse_unknown(content, known, "study file")
    spacing = content.get("spacing")
    samples = content.get("samples")
    if not isinstance(samples, list) or not samples:
        raise ValueError("samples is missing; expected a list of samples with name, condition and fields")
    options = {
        stage: from_dict(cls, _mapping(content[stage], stage), stage, folder=folder, objects=record)
        for stage, cls in option_classes().items()
        if content.get(stage) is not None
    }
    return Study(
        study=str(content.get("study", stem)),
        output=folder / Path(str(content.get("output", f"{stem}-results"))).expanduser(),
        samples=tuple(_sample(_mapping(entry, "sample"), folder, spacing) for entry in samples),
        options=options,
    )


def _sample(entry: dict[str, Any], folder: Path, spacing: Any) -> Sample:
    where = f"sample {entry.get('name', '?')!r}"
    refuse_unknown(entry, {"name", "condition", "fields"}, where)
    if "name" not in entry:
        raise ValueError("a sample has no name")
    fields = entry.get("fields")
    if not isinstance(fields, list) or not fields:
        raise ValueError(f"{where}: fields is missing; expected a list of volumes with path")
    return Sample(
        name=str(entry["name"]),
        condition=str(entry.get("condition", "unknown")),
        fields=tuple(_field(item, folder, spacing, where) for item in fields),
    )


def _field(item: Any, folder: Path, spacing: Any, where: str) -> Field:
    values = {"path": item} if isinstance(item, str) else _mapping(item, f"{where}, field")
    refuse_unknown(values, {f.name for f in dataclasses.fields(Field)}, f"{where}, field")
    paths = {name: folder / Path(str(values[name])).expanduser() for name in PATHS if values.get(name)}
    if not paths:
        raise ValueError(f"{where}: a field has no path; give the path of its volume, or labels or phases_image")
    return Field(**{"spacing": spacing, **values} | paths)


def _mapping(value: Any, where: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} is {shorten(value)}; expected keys and values")
    return value


def _spacing(value: Any, name: str) -> tuple[float, float, float]:
    """One number for cubic voxels, or three."""
    values = list(value) if isinstance(value, list | tuple) else [value]
    values = values * 3 if len(values) == 1 else values
    numbers = all(_is_number(v) and 0 < v < float("inf") for v in values)
    if len(values) != 3 or not numbers:
        raise ValueError(f"{name} is {shorten(value)}; expected one or three positive numbers (z y x) in micrometers")
    return float(values[0]), float(values[1]), float(values[2])


def _offset(value: Any, name: str) -> tuple[float, float, float]:
    """Three finite numbers."""
    values = list(value) if isinstance(value, list | tuple) else []
    if len(values) != 3 or not all(_is_number(v) and abs(v) < float("inf") for v in values):
        raise ValueError(f"{name} is {shorten(value)}; expected three numbers (z y x) in micrometers")
    return float(values[0]), float(values[1]), float(values[2])


def _phase_codes(value: Any) -> dict[int, str]:
    """Names of phases by whole numbers."""
    names = [phase.name.lower() for phase in Phase]
    whole = isinstance(value, Mapping) and all(isinstance(code, int) for code in value)
    if not whole or not value or not set(value.values()) <= set(names):
        raise ValueError(f"phase_codes is {value!r}; expected whole numbers with one of {', '.join(names)} for each")
    return dict(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _name_from(path: Path) -> str:
    """A field name made of a file name: accents are left out, and what else no name may hold becomes an underscore."""
    text = unicodedata.normalize("NFKD", _stem(path).replace("µ", "u").replace("μ", "u").replace("ß", "ss"))
    plain = re.sub(r"[^A-Za-z0-9._-]+", "_", "".join(one for one in text if not unicodedata.combining(one)))
    return plain.lstrip("._-").rstrip("_") or "field"


def _stem(path: Path) -> str:
    name = path.name
    for ending in (".ome.zarr", ".ome.tiff", ".ome.tif"):
        if name.lower().endswith(ending):
            return name[: -len(ending)]
    return path.stem


def study_of_volume(
    path: str | Path | None,
    output: str | Path,
    *,
    spacing: Any = None,
    name: str | None = None,
    labels: str | Path | None = None,
    phases_image: str | Path | None = None,
    phase_codes: Mapping[int, str] | None = None,
) -> Study:
    """A study of one volume, or of labels and phases alone, which is its sample and condition; see `Field`."""
    only = Field(
        path=_absolute(path), name=name or "", spacing=spacing, labels=_absolute(labels),
        phases_image=_absolute(phases_image), phase_codes=phase_codes,
    )  # fmt: skip
    sample = Sample(name=only.name, condition=only.name, fields=(only,))
    return Study(study=only.name, output=Path(output), samples=(sample,))


def _absolute(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path).absolute()


def save_study(study: Study, path: str | Path) -> None:
    """Write a study file that `load_study` reads back: complete, with every option spelled out.

    Paths below the folder of the file are relative to it, so that the folder can be moved.
    """
    folder = Path(path).absolute().parent
    content = {
        "study": study.study,
        "output": _plain(study.output, folder),
        "samples": [
            {
                "name": sample.name,
                "condition": sample.condition,
                "fields": [
                    {key: _plain(value, folder) for key, value in vars(item).items() if value is not None}
                    for item in sample.fields
                ],
            }
            for sample in study.samples
        ],
        **{
            stage: {one.name: _plain(getattr(options, one.name), folder) for one in dataclasses.fields(options)}
            for stage, options in study.options.items()
        },
    }
    write_text(path, yaml.safe_dump(content, sort_keys=False))


def _plain(value: Any, folder: Path) -> Any:
    """A value for YAML; a path below `folder` as relative to it."""
    if isinstance(value, Path):
        whole = value.absolute()
        return str(whole.relative_to(folder) if whole.is_relative_to(folder) else whole)
    return list(value) if isinstance(value, tuple) else value
