"""What slices along other axes say of tracks: whether two are one particle, and how well particles agree.

The particles of another view are those that its own merge graph decides on. They are compared with the tracks by the
voxels that they share, which add up over blocks exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomostat.kernels.matching import overlaps_of_labels


@dataclass(frozen=True, eq=False)
class ViewOverlaps:
    """Voxels that tracks share with the particles of another view; arrays (p,), ordered by track, then particle.

    Attributes
    ----------
    track
        Tracks, counted from 1; 0 for rows that hold the size of a particle.
    particle
        Particles of the other view.
    voxels
        Voxels that the two share, or of the whole particle.
    """

    track: NDArray[np.int64]
    particle: NDArray[np.int64]
    voxels: NDArray[np.int64]

    @classmethod
    def of_labels(cls, tracks: NDArray[Any], particles: NDArray[Any]) -> ViewOverlaps:
        """Overlaps in a box; both are label images (z, y, x), 0 for none."""
        table = overlaps_of_labels(tracks, particles)
        return cls(
            np.concatenate([np.zeros(len(table.second_label), np.int64), table.first_label[table.first]]),
            np.concatenate([table.second_label, table.second_label[table.second]]),
            np.concatenate([table.second_size, table.overlap]),
        )

    def summed(self) -> ViewOverlaps:
        """One row for each pair, from rows of several boxes."""
        pairs, row = np.unique(np.stack([self.track, self.particle]), axis=1, return_inverse=True)
        voxels = np.zeros(pairs.shape[1], np.int64)
        np.add.at(voxels, row.reshape(-1), self.voxels)
        return ViewOverlaps(pairs[0], pairs[1], voxels)

    def shared(self) -> ViewOverlaps:
        """Rows of pairs only."""
        known = self.track > 0
        return ViewOverlaps(self.track[known], self.particle[known], self.voxels[known])

    def sizes(self, particles: NDArray[np.int64]) -> NDArray[np.int64]:
        """Voxels of some particles, which must be known."""
        whole = self.track == 0
        return self.voxels[whole][np.searchsorted(self.particle[whole], particles)]


def support(
    a: NDArray[np.int32], b: NDArray[np.int32], volume: NDArray[np.float64], overlaps: ViewOverlaps
) -> NDArray[np.float32]:
    """Whether another view has two tracks in one particle.

    Parameters
    ----------
    a, b
        Tracks of each candidate, counted from 0, (e,).
    volume
        Voxels of every track, (k,).
    overlaps
        Of all tracks.

    Returns
    -------
    ndarray
        (e,) float32: of each of the two tracks the share that lies in the particle that holds most of it, the lesser of
        both; positive where it is the same particle, negative where it is another, 0 where there is none.
    """
    pairs = overlaps.shared()
    most = np.lexsort((pairs.particle, -pairs.voxels, pairs.track))
    track, first = np.unique(pairs.track[most], return_index=True)
    holder, share = np.zeros(len(volume), np.int64), np.zeros(len(volume))
    holder[track - 1] = pairs.particle[most][first]
    share[track - 1] = pairs.voxels[most][first] / volume[track - 1]
    lesser = np.minimum(share[a], share[b])
    return np.where(holder[a] == holder[b], lesser, -lesser).astype(np.float32)


def agreement(of_track: NDArray[np.int64], volume: NDArray[np.float64], overlaps: ViewOverlaps) -> NDArray[np.float64]:
    """Largest intersection over union of each particle with one of another view.

    Parameters
    ----------
    of_track
        Index of the particle of every track, (k,); 0 for tracks of none.
    volume
        Voxels of every particle by that index, (n,), that of 0 included.
    overlaps
        Of all tracks.

    Returns
    -------
    ndarray
        (n,) float64.
    """
    pairs = overlaps.shared()
    by_particle = ViewOverlaps(of_track[pairs.track - 1], pairs.particle, pairs.voxels).summed()
    union = volume[by_particle.track] + overlaps.sizes(by_particle.particle) - by_particle.voxels
    best = np.zeros(len(volume))
    np.maximum.at(best, by_particle.track, by_particle.voxels / union)
    return best
