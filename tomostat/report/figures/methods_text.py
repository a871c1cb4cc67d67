"""A text on methods with the study's own numbers, to start a paper's section from, and what it cites."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np

from tomostat.answers import CONFIDENCE, RIGHT
from tomostat.kernels.rates import Rate
from tomostat.messages import plural
from tomostat.report.data import ReportData
from tomostat.report.provenance import versions
from tomostat.report.sections import Section
from tomostat.report.text import TIMES, between, join_words

if TYPE_CHECKING:
    from tomostat.study import Study

CITATIONS = {
    "Jiang": "Z. Jiang, J. Li, Y. Yang et al., Machine-learning-revealed statistics of the particle-carbon/binder "
    "detachment in lithium-ion battery cathodes, Nature Communications 11, 2310 (2020).",
    "He": "K. He, G. Gkioxari, P. Dollár, R. Girshick, Mask R-CNN, Proc. IEEE ICCV, 2961 (2017).",
    "Otsu": "N. Otsu, A threshold selection method from gray-level histograms, IEEE Trans. Syst. Man Cybern. 9, 62 "
    "(1979).",
    "Miles": "R. E. Miles, On the elimination of edge effects in planar sampling, in Stochastic Geometry (Wiley, "
    "1974); C. Lantuéjoul, Journal of Microscopy 117, 3 (1980).",
    "Wilson": "E. B. Wilson, Probable inference, the law of succession, and statistical inference, Journal of the "
    "American Statistical Association 22, 209 (1927).",
    "Efron": "B. Efron, R. J. Tibshirani, An introduction to the bootstrap, Chapman and Hall (1993).",
}
"""What the text cites, by the name that it is cited with."""


def methods_text(data: ReportData) -> str:
    """The text and its references; nothing where the study is not known."""
    study = data.provenance.study
    if study is None:
        return ""
    parts = (_volumes, _phases, _particles, _accuracy, _measures, _statistics)
    text = " ".join(sentence for part in parts for sentence in part(study, data))
    first = sorted((text.index(f"[{name}]"), name) for name in CITATIONS if f"[{name}]" in text)
    cited = {name: number for number, (_, name) in enumerate(first, 1)}
    for name, number in cited.items():
        text = text.replace(f"[{name}]", f"[{number}]")
    references = "".join(f"<li>{escape(CITATIONS[name])}</li>" for name in cited)
    return f"<h3>Text on methods</h3><p class=methods>{text}</p><ol class=small>{references}</ol>"


def _volumes(study: Study, data: ReportData) -> Iterator[str]:
    """What was imaged."""
    if not data.views:
        return
    shapes = sorted({TIMES.join(map(str, view.info.shape)) for view in data.views})
    steps = sorted({TIMES.join(f"{s:g}" for s in view.info.spacing) for view in data.views})
    yield (
        f"{plural(len(data.views), 'field')} of view of {plural(len(study.samples), 'sample')} in "
        f"{plural(len(data.conditions), 'condition')} ({escape(join_words(data.conditions))}) were analysed with "
        f"tomostat {escape(versions()['tomostat'])}, with {join_words(shapes)} voxels of {join_words(steps)} µm "
        "(z, y, x)."
    )


def _phases(study: Study, data: ReportData) -> Iterator[str]:
    """How voxels got a phase, and how sharp the images are."""
    options: Any = study.options["phases"]
    own = [not field.phases_given for field in study.fields]
    if any(own):
        how = "given thresholds" if options.thresholds else "multi-level Otsu thresholds [Otsu]"
        shading = " after an additive shading was subtracted" if options.shading else ""
        yield (
            f"Voxels were assigned to {options.phases} phases by {how} on grey values smoothed with a Gaussian of "
            f"{options.smoothing:g} voxels{shading}{_part(own)}."
        )
    if not all(own):
        yield f"Phases were taken from another segmentation{_part([not one for one in own])}."
    fits = [view.fit for view in data.views if view.fit is not None and not view.info.rendered]
    if fits:
        blurs = [fit.blur for fit in fits if fit.blur is not None]
        blur = f" and the blur {join_range(blurs)} voxels" if blurs else ""
        yield f"The noise was {join_range([fit.noise for fit in fits])} grey levels{blur} (standard deviations)."


def _particles(study: Study, data: ReportData) -> Iterator[str]:
    """How particles were found."""
    detect: Any = study.options["detect"]
    stitch: Any = study.options["stitch"]
    own = [not field.particles_given for field in study.fields]
    if any(own):
        network = f"a Mask R-CNN [He] (weights: {escape(str(detect.weights))}, score at least {detect.score:g})"
        found = network if detect.detector == "maskrcnn" else f"the detector {escape(detect.detector)}"
        yield (
            f"Particles were found slice by slice{_along(detect.views)} with {found}{_part(own)}. Instances of "
            f"neighbouring slices were linked (intersection over union at least {stitch.min_iou:g} or containment "
            f"at least {stitch.min_containment:g}, gaps of up to {plural(stitch.max_gap, 'slice')}), and all ambiguous "
            "links were decided together in a merge graph; particles of fewer than "
            f"{plural(stitch.min_slices, 'slice')} were dropped. Boundaries follow the half height of the grey edge."
        )
    if not all(own):
        yield f"Particles were taken from another segmentation{_part([not one for one in own])}."


def _along(views: Sequence[str]) -> str:
    """Along which axes slices were searched, where there are several."""
    return (
        f" along {join_words(views)} (each by itself; particles and their voxels are what most of them agree on)"
        if len(views) > 1
        else ""
    )


def _part(fields: Sequence[bool]) -> str:
    """In how many fields something was done, from whether it was done in each; empty where it was in all."""
    return "" if all(fields) else f" in {sum(fields)} of {len(fields)} fields of view"


def _accuracy(study: Study, data: ReportData) -> Iterator[str]:
    """What a person found of the particles."""
    known = data.provenance.answers.accuracy()
    level = f"{100 * CONFIDENCE:.0f} % interval [Wilson]"
    if known.precision.trials:
        yield (
            f"Of {plural(known.precision.trials, 'particle')} drawn at random, a person found "
            f"{known.verdicts[RIGHT]} right: a precision of {_share(known.precision)} % ({level})."
        )
    if known.recall.trials:
        yield (
            f"In {plural(known.slices, 'slice')} drawn at random, {known.missed} of "
            f"{plural(known.recall.trials, 'particle')} had no outline of their own: a recall of "
            f"{_share(known.recall)} % ({level}, at as many single draws as scatter like the slices)."
        )


def _share(rate: Rate) -> str:
    """A share and its interval, in percent."""
    return f"{100 * rate.value:.1f} {between((rate.low, rate.high), digits=1)}"


def _measures(study: Study, data: ReportData) -> Iterator[str]:
    """What was measured of particles."""
    options: Any = study.options["measure"]
    count = data.counted.sizes["particle"]
    if not data.measured:
        yield f"{plural(count, 'particle')} were measured; the degree of detachment was not known for any."
        return
    known = int(np.isfinite(data.counted["detachment"].to_numpy()).sum())
    path = {"surface": "over the surface", "solid": "through the solid"}[options.path]
    touching = "left out" if options.exclude_particle_contact else "counted as detached"
    yield (
        f"{plural(count, 'particle')} were measured. The degree of detachment [Jiang] is the share of a particle's "
        "outer surface that is not in contact with the carbon-binder domain, decided from the grey value of the layer "
        f"up to {plural(options.tolerance, 'voxel')} outside the edge; surface that touches other particles was "
        f"{touching}. It is known for {plural(known, 'particle')}. The local resistance is the shortest path {path} "
        "to the nearest contact, over the radius of the ball of equal volume [Jiang]."
    )


AT_BORDER = {
    "weighted": "left out, the others weighted by the inverse of the probability that a particle of their size lies "
    "inside [Miles]",
    "excluded": "left out",
    "kept": "kept",
}
"""What happened to particles at the border, by the option border of analyze."""


def _statistics(study: Study, data: ReportData) -> Iterator[str]:
    """How populations were compared."""
    options: Any = study.options["analyze"]
    yield f"Particles cut by the border of their field were {AT_BORDER[options.border]}."
    ways = "; ".join(
        f"{float(number):.4g} ways to permute whole {unit}"
        for number, unit in zip(data.results["permutations"].values, data.results["permuted"].values, strict=True)
        if np.isfinite(number)
    )
    tested = f" Differences were tested by permutation ({escape(ways)})." if ways else ""
    yield (
        f"Intervals ({100 * options.confidence:g} %) are bootstrap intervals [Efron] that resample whole samples, "
        f"whole fields and particles ({options.resamples} resamples, seed {options.seed}).{tested} Small and big "
        f"particles are separated at {data.size_split:.3g} µm of equivalent diameter."
    )


def join_range(values: list[float]) -> str:
    """The range of some values, or the value that all have."""
    low, high = f"{min(values):.2g}", f"{max(values):.2g}"
    return low if low == high else f"{low} to {high}"


TEXT = Section(anchor="making", position=89, make=methods_text)
