"""Statistics on simulated clustered studies: false alarms, coverage, width beside other methods, power.

``python -m benchmarks.bench_statistics [alarms] [coverage] [power] [maps] [--studies 2000]`` prints what is required
beside what is measured. Studies have two conditions with fields whose means differ; particles of one field are alike.
Beside tomostat's stand a test that takes particles as independent, a studentised bootstrap over fields, and, where
statsmodels is installed, a mixed model with random fields (restricted maximum likelihood, normal interval).
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from benchmarks.report import Result, add_names, print_results
from tests.maps import two_maps
from tomostat.analyze.kernels import statistics
from tomostat.analyze.kernels.power import attainable_level, comparison_power
from tomostat.analyze.kernels.resample import (
    Estimate,
    Estimator,
    difference,
    estimate,
    hierarchy,
    permutation_p,
    permute_groups,
)
from tomostat.correlate import CorrelateOptions, correlate_maps

Array = NDArray[np.float64]
Interval = tuple[float, float]

CONFIDENCE, RESAMPLES = 0.95, 400
BETWEEN, WITHIN = 0.05, 0.12
"""Standard deviations of the detachment between fields and between particles of a field."""

EFFECT = 0.1
"""Planted difference between conditions."""


@dataclass(frozen=True)
class Study:
    """Values of particles, and the field of each, of two conditions."""

    values: tuple[Array, Array]
    fields: tuple[NDArray[np.intp], NDArray[np.intp]]

    def field_means(self, index: int) -> Array:
        return np.bincount(self.fields[index], self.values[index]) / np.bincount(self.fields[index])


def simulate(rng: np.random.Generator, fields: int, effect: float) -> Study:
    """A study with 15 to 45 particles in each field."""
    values, numbers = [], []
    for centre in (0.3, 0.3 + effect):
        field = np.repeat(np.arange(fields), rng.integers(15, 46, fields))
        shift = BETWEEN * rng.standard_normal(fields)
        values.append(centre + shift[field] + WITHIN * rng.standard_normal(len(field)))
        numbers.append(field)
    return Study((values[0], values[1]), (numbers[0], numbers[1]))


def estimate_mean(values: Array, field: NDArray[np.intp], rng: np.random.Generator) -> Estimate:
    """Mean of one condition as `tomostat analyze` estimates it."""
    one = Estimator(np.ones(len(values), bool), partial(statistics.mean, values))
    levels = hierarchy(np.zeros(len(values), np.intp), field)
    found = estimate({0: one}, np.ones(len(values)), levels, confidence=CONFIDENCE, resamples=RESAMPLES, rng=rng)
    return found[0]


def permutation(study: Study, rng: np.random.Generator) -> float:
    """p-value by permuting whole fields, as `tomostat analyze` does."""
    counts = [int(field.max()) + 1 for field in study.fields]
    ways, _ = permute_groups(*counts, 1000, rng)
    values = np.concatenate(study.values)
    unit = np.concatenate([study.fields[0], study.fields[1] + counts[0]])
    return float(permutation_p(partial(statistics.mean, values), np.ones(len(values)), unit, ways))


def ours(study: Study, rng: np.random.Generator) -> Interval:
    first, second = (estimate_mean(v, f, rng) for v, f in zip(study.values, study.fields, strict=True))
    low, high = difference(first, second).interval(CONFIDENCE)
    return float(low), float(high)


def particles_alone(study: Study, rng: np.random.Generator) -> Interval:
    found = stats.ttest_ind(study.values[1], study.values[0], equal_var=False).confidence_interval(CONFIDENCE)
    return float(found.low), float(found.high)


def studentised(study: Study, rng: np.random.Generator) -> Interval:
    """Bootstrap-t over the means of fields (Davison and Hinkley, Bootstrap methods, 1997, section 5.2)."""
    means = [study.field_means(index) for index in (0, 1)]
    value = means[1].mean() - means[0].mean()

    def error(groups: list[Array]) -> Array:
        return np.sqrt(sum(group.var(axis=-1, ddof=1) / group.shape[-1] for group in groups))

    drawn = [group[rng.integers(0, len(group), (RESAMPLES * 4, len(group)))] for group in means]
    spread = error(drawn)
    ratio = (drawn[1].mean(axis=1) - drawn[0].mean(axis=1) - value)[spread > 0] / spread[spread > 0]
    low, high = np.quantile(ratio, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    own = float(error(means))
    return float(value - high * own), float(value - low * own)


def mixed_model(study: Study, rng: np.random.Generator) -> Interval:
    import statsmodels.api as sm

    values = np.concatenate(study.values)
    second = np.repeat([0.0, 1.0], [len(one) for one in study.values])
    group = np.concatenate([study.fields[0], study.fields[1] + 1000])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = sm.MixedLM(values, sm.add_constant(second), group).fit(reml=True)
    low, high = found.conf_int(1 - CONFIDENCE)[1]
    return float(low), float(high)


METHODS: dict[str, Callable[[Study, np.random.Generator], Interval]] = {
    "tomostat": ours,
    "particles as independent": particles_alone,
    "studentised bootstrap over fields": studentised,
    **({"mixed model (statsmodels)": mixed_model} if find_spec("statsmodels") else {}),
}


def alarms(studies: int) -> Iterator[Result]:
    """False alarms at 5 % without any effect."""
    for fields, least, most in ((8, 0.035, 0.06), (4, 0.0, 0.05)):
        rng = np.random.default_rng(fields)
        p, naive = [], []
        for _ in range(studies):
            study = simulate(rng, fields, 0.0)
            p.append(permutation(study, rng))
            naive.append(stats.ttest_ind(*study.values, equal_var=False).pvalue)
        share = float(np.mean(np.array(p) <= 0.05 + 1e-12))
        yield Result(f"false alarms, {fields} against {fields} fields", share, most, "<=")
        if least:
            yield Result(f"false alarms, {fields} against {fields} fields", share, least)
        yield Result("the same by a test of particles", float(np.mean(np.array(naive) <= 0.05)))


def coverage(studies: int) -> Iterator[Result]:
    """Coverage and width of the intervals of a difference, beside other methods; coverage of a mean."""
    for fields in (4, 8, 16):
        rng = np.random.default_rng(100 + fields)
        inside: dict[str, list[bool]] = {name: [] for name in METHODS}
        widths: dict[str, list[float]] = {name: [] for name in METHODS}
        mean = []
        for _ in range(studies):
            study = simulate(rng, fields, EFFECT)
            for name, method in METHODS.items():
                low, high = method(study, rng)
                inside[name].append(low <= EFFECT <= high)
                widths[name].append(high - low)
            low, high = estimate_mean(study.values[0], study.fields[0], rng).interval(CONFIDENCE)
            mean.append(low <= 0.3 <= high)
        covered = {name: float(np.mean(one)) for name, one in inside.items()}
        least, most = (0.93, 0.97) if fields >= 8 else (None, None)
        yield Result(f"{fields} fields: mean of a condition covered", float(np.mean(mean)), least)
        yield Result(f"{fields} fields: difference covered", covered["tomostat"], least)
        if most is not None:
            yield Result(f"{fields} fields: difference covered", covered["tomostat"], most, "<=")
        rivals = [name for name, share in covered.items() if share >= 0.93]
        best = min((float(np.mean(widths[name])) for name in rivals), default=np.nan)
        yield Result(
            "width over that of the best that covers 93 %", float(np.mean(widths["tomostat"])) / best, 1.15, "<="
        )
        for name in METHODS:
            if name != "tomostat":
                yield Result(f"  {name}: covered", covered[name])
                width = np.nanmean(widths[name])  # a mixed model does not always converge
                yield Result(f"  {name}: width over ours", float(width / np.mean(widths["tomostat"])))


def power(studies: int) -> Iterator[Result]:
    """Power that is predicted from the variance of a condition's mean, and that of the permutation of fields."""
    for fields, effect in ((4, 0.12), (8, 0.06), (16, 0.05)):
        rng = np.random.default_rng(200 + fields)
        simulated = [simulate(rng, fields, effect) for _ in range(studies)]
        found = np.mean([permutation(study, rng) <= 0.05 + 1e-12 for study in simulated])
        # fields of many particles count more, so that the mean varies more than that of equal fields would
        variance = float(np.mean([np.var([study.values[k].mean() for study in simulated]) for k in (0, 1)]))
        predicted = float(comparison_power(effect, variance, fields, 0.05))
        yield Result(f"power, {fields} fields, difference {effect:g}: simulated", float(found))
        yield Result("  predicted less simulated", abs(predicted - float(found)), 0.05, "<=")
        yield Result("  level of the permutation", float(attainable_level(fields, 0.05)))


def maps(studies: int) -> Iterator[Result]:
    """A planted correlation of 0.54 in maps that are turned, scaled, shifted, mirrored and noisy."""
    close, inside = [], []
    for seed in range(min(studies, 50)):
        first, second, _ = two_maps(seed, side=120)
        found = correlate_maps(first, second, CorrelateOptions(sign="positive")).pearson
        close.append(abs(found.value - 0.54) <= 0.05)
        inside.append(found.interval[0] <= 0.54 <= found.interval[1])
    yield Result(f"r = 0.54 within 0.05, {len(close)} pairs of maps", float(np.mean(close)), 0.9)
    yield Result("its interval covers", float(np.mean(inside)), 0.9)


TABLES = {"alarms": alarms, "coverage": coverage, "power": power, "maps": maps}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_names(parser, TABLES)
    parser.add_argument("--studies", type=int, default=2000)
    given = parser.parse_args()
    for name in given.names:
        print_results(name, list(TABLES[name](given.studies)))


if __name__ == "__main__":
    main()
