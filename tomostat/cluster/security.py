"""Certificates of one run: the scheduler talks to its own workers and clients only, and nobody else can listen."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed.security import Security


@contextlib.contextmanager
def certificates(folder: Path) -> Iterator[tuple[Security, Security]]:
    """Make a certificate that signs itself, for the length of a run.

    Parameters
    ----------
    folder
        Folder that all nodes see; made where it does not exist. The files in it can be read by the user only, and are
        removed at the end.

    Yields
    ------
    tuple of distributed.Security
        With the certificate in memory, for the scheduler and its clients; and in files, for the jobs of workers.

    Raises
    ------
    ValueError
        When the folder cannot be written.
    """
    from distributed.security import Security

    temporary = Security.temporary()
    worker = temporary.get_tls_config_for_role("worker")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        place = tempfile.TemporaryDirectory(prefix="run-", dir=folder)  # only the user can look in
    except OSError as error:
        raise ValueError(
            f"certificates cannot be written to {folder} ({error.strerror}); set shared_temp_directory in the cluster "
            "file to a folder that all nodes see, or secure: false"
        ) from None
    with place as name:
        files = {part: _write(Path(name) / f"{part}.pem", worker[part]) for part in ("ca_file", "cert", "key")}
        yield (
            temporary,
            Security(
                require_encryption=True,
                tls_ca_file=files["ca_file"],
                tls_worker_cert=files["cert"],
                tls_worker_key=files["key"],
            ),
        )


def _write(path: Path, text: str) -> str:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    return str(path)
