"""The results of a small study in every format."""

from __future__ import annotations

from pathlib import Path

import pytest

from tomostat import export_study
from tomostat.export import FORMATS
from tomostat.layout import Layout
from tomostat.study import Study


@pytest.fixture(scope="session")
def exported(study: Study, results: Layout, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a folder for every format."""
    folder = tmp_path_factory.mktemp("exported") / "files"
    export_study(study, folder, FORMATS.built_in())
    return folder
