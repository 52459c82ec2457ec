"""Finished results of any kind: stored in one step, found by their settings."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from landscape.blocks import Json
from landscape.store.arrays import codecs, consolidate, seal
from landscape.store.folders import StoreError, appearing
from landscape.store.groups import RESULT, attributes, group_of, sense
from landscape.store.reading import open_surface
from landscape.store.settings import same_settings

if TYPE_CHECKING:
    import xarray


def save(dataset: "xarray.Dataset", path: Path | str, settings: dict[str, Json]) -> None:
    """Store a finished result at ``path`` in one step, with its settings and where it was made in its attributes.

    Raises StoreError if something is there: nothing is overwritten.
    """
    from landscape import provenance

    if Path(path).exists():
        raise StoreError(f"{path} is there already, and is not overwritten; give another path, or remove that one")
    attrs = {**dataset.attrs, **provenance.here(), "format": RESULT, "settings": json.dumps(settings), "complete": True}
    # zarr v3 specifies text of variable length alone
    text = {name: values.astype(object) for name, values in dataset.variables.items() if values.dtype.kind == "U"}
    dataset = dataset.assign(text).assign_attrs(attrs)
    encoding = {name: {"compressors": codecs(values.dtype)} for name, values in dataset.variables.items()}
    with appearing(path) as partial:
        dataset.to_zarr(partial, mode="w", consolidated=False, zarr_format=3, encoding=encoding)
        seal(group_of(partial, "r+"), map(str, dataset.coords))
        consolidate(partial)


def find(path: Path | str, settings: dict[str, Json]) -> "xarray.Dataset | None":
    """The complete result of these settings at ``path``; None if nothing is there, StoreError if something else is."""
    if not Path(path).exists():
        return None
    about = attributes(path)
    with sense(path):
        same_settings(path, json.loads(about["settings"]), json.loads(json.dumps(settings)))
    return open_surface(path)


def keep(dataset: "xarray.Dataset", path: Path | str, settings: dict[str, Json]) -> "xarray.Dataset":
    """A finished result as it is given, stored at ``path`` unless that of these settings is there (`find`)."""
    if find(path, settings) is None:
        save(dataset, path, settings)
    return dataset


def kept(
    folder: Path | str, settings: dict[str, Json], compute: Callable[[], Mapping[str, "xarray.Dataset"]]
) -> "dict[str, xarray.Dataset]":
    """The Datasets by name that ``compute`` makes, kept in ``folder``; read from there if it holds these settings.

    The folder appears whole or not at all; None keeps nothing. Raises StoreError, before anything is computed, if
    something else is there.
    """
    if folder is None:
        return dict(compute())
    path = Path(folder)
    if there := sorted(path.glob("*")):
        return {file.stem: ds for file in there if (ds := find(file, settings)) is not None}
    made = dict(compute())
    with appearing(path) as partial:
        for name, dataset in made.items():
            save(dataset, partial / f"{name}.zarr", settings)
    return made
