"""What other views say, against brute force."""

from __future__ import annotations

import numpy as np
from hypothesis import given

from stitching import stacks
from tomostat.stitch.kernels.other_views import ViewOverlaps, agreement, support


def joined(parts: list[ViewOverlaps]) -> ViewOverlaps:
    """Rows of several boxes, summed."""
    columns = {name: np.concatenate([getattr(part, name) for part in parts]) for name in vars(parts[0])}
    return ViewOverlaps(**columns).summed()


@given(stacks((0, 1, 2, 3, 5)), stacks((0, 1, 2, 4)))
def test_against_brute_force(tracks, particles):
    shape = [min(a, b) for a, b in zip(tracks.shape, particles.shape, strict=True)]
    tracks, particles = (image[: shape[0], : shape[1], : shape[2]] for image in (tracks, particles))
    whole = ViewOverlaps.of_labels(tracks, particles).summed()
    middle = shape[0] // 2
    boxes = [ViewOverlaps.of_labels(tracks[part], particles[part]) for part in (slice(middle), slice(middle, None))]
    for name, values in vars(joined(boxes)).items():
        np.testing.assert_array_equal(values, getattr(whole, name))

    count = 5
    volume = np.array([max((tracks == number).sum(), 1) for number in range(1, count + 1)], float)
    shares = np.array([[((tracks == t) & (particles == p)).sum() for p in range(5)] for t in range(1, count + 1)])
    shares[:, 0] = 0
    a, b = (ends.astype(np.int32) for ends in np.triu_indices(count, 1))
    holder, most = shares.argmax(axis=1), shares.max(axis=1) / volume
    expected = np.where(holder[a] == holder[b], 1, -1) * np.minimum(most[a], most[b])
    np.testing.assert_allclose(support(a, b, volume, whole), expected, rtol=1e-6)

    of_track = np.array([1, 1, 2, 0, 2])  # the particles that tracks make up; 0 for none
    sizes = np.bincount(of_track, volume, 3)
    expected = np.zeros(3)
    for index in range(3):
        own = np.isin(tracks, np.flatnonzero(of_track == index) + 1)
        for p in range(1, 5):
            both = (own & (particles == p)).sum()
            if both:
                union = sizes[index] + (particles == p).sum() - both
                expected[index] = max(expected[index], both / union)
    np.testing.assert_allclose(agreement(of_track, sizes, whole), expected)
