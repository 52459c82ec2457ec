"""Stores along whose leading dimension results are appended one by one, such as the steps of a training run."""

import contextlib
import json
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from landscape.blocks import Json
from landscape.store import groups, reading
from landscape.store.arrays import add_array, consolidate, empty_array
from landscape.store.folders import StoreError, appearing, lock, real, sweep, sweep_inside
from landscape.store.groups import RESULT
from landscape.store.settings import same_settings

if TYPE_CHECKING:
    from jaxtyping import Shaped


class Recorder:
    """Appends to the store at ``path`` along the dimension ``along``; what has been appended survives any kill.

    ``coordinates`` maps the other dimensions to their values, ``variables`` names to dtypes; every variable has the
    dims (``along``, others). A store of the same settings is gone on with from ``values``, those that it holds. One
    append is data first, then the place along ``along``, then the one file in which `xarray.open_zarr` and this package
    look how long everything is. A context manager: other writers are kept out until it is left. Raises StoreError for
    anything else at ``path``.
    """

    def __init__(
        self,
        path: Path | str,
        along: str,
        coordinates: "Mapping[str, Shaped[np.ndarray, 'point']]",
        variables: Mapping[str, str],
        settings: Mapping[str, Json],
    ) -> None:
        import zarr

        self.path, self.along = real(path), along
        if not self.path.exists():
            self._build(coordinates, variables, settings)
        sweep(self.path)
        about = groups.attributes(self.path)
        self.held = contextlib.ExitStack()
        with contextlib.ExitStack() as guard:
            if not guard.enter_context(lock(self.path)):
                raise StoreError(f"{path} is being written by another process; wait for it, or give another path")
            with groups.sense(path):
                same_settings(path, json.loads(about["settings"]), json.loads(json.dumps(settings)))
            sweep_inside(self.path, 0.0)
            self.values = reading.open_arrays(self.path)[along].values.tolist()
            self.group = groups.group_of(self.path, "r+")
            with zarr.config.set({"array.write_empty_chunks": True}):
                self.variables = {name: self.group[name] for name in variables}
            self.held = guard.pop_all()

    def __enter__(self) -> "Recorder":
        return self

    def __exit__(self, *exception: object) -> None:
        self.held.close()

    def _build(self, coordinates: Mapping, variables: Mapping[str, str], settings: Mapping[str, Json]) -> None:
        import zarr

        from landscape import provenance

        shape = tuple(map(len, coordinates.values()))
        about = {"format": RESULT, "settings": json.dumps(settings), "complete": True, "token": uuid.uuid4().hex}
        with appearing(self.path) as partial:
            group = zarr.create_group(partial, zarr_format=3)
            group.update_attributes({**about, **provenance.here()})
            for name, values in coordinates.items():
                add_array(group, name, [name], values)
            empty_array(group, self.along, [self.along], (0,), (1,), "int64", fill=-1)  # no place is negative
            for name, dtype in variables.items():
                empty_array(group, name, [self.along, *coordinates], (0, *shape), (1, *shape), dtype)
            marks = {name: reading.mark(values) for name, values in coordinates.items()}
            group.update_attributes({"marks": json.dumps(marks), "grows": self.along})
            consolidate(partial)

    def append(self, value: int, results: "Mapping[str, Shaped[np.ndarray, '...']]") -> None:
        """Add the results at ``value``, which must be larger than the last; all or nothing of them is kept."""
        last = self.values[-1] if self.values else -1
        if value <= last:
            raise ValueError(
                f"{self.along} = {value} does not come after {last}; append whole numbers in order, from 0 up"
            )
        at = len(self.values)
        for name, array in self.variables.items():
            array.resize((at + 1, *array.shape[1:]))
            array[at] = results[name]
        place = self.group[self.along]
        place.resize((at + 1,))
        place[at] = value
        consolidate(self.path)
        self.values.append(value)
