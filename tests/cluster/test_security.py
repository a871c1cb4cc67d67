"""Certificates of a run: who has them connects, nobody else does, and they are gone at the end."""

from __future__ import annotations

import asyncio
import stat

import pytest
from distributed import LocalCluster
from distributed.comm import connect
from distributed.security import Security

from tomostat.cluster.security import certificates


def knock(address: str, security: Security) -> None:
    """Connect and leave again."""

    async def come_and_go() -> None:
        comm = await connect(address, timeout=1, **security.get_connection_args("client"))
        await comm.close()

    asyncio.run(come_and_go())


def test_only_who_has_the_certificate_connects(tmp_path):
    with (
        certificates(tmp_path / "shared") as (security, of_jobs),
        LocalCluster(
            n_workers=0, processes=False, dashboard_address=":0", security=security, protocol="tls://"
        ) as cluster,
    ):
        address = cluster.scheduler_address
        assert address.startswith("tls://")
        knock(address, security)
        with pytest.raises(TypeError, match="ssl_context"):
            knock(address, Security())
        with pytest.raises(OSError, match="certificate"):
            knock(address, Security.temporary())
        with pytest.raises(OSError, match="tcp://"):
            knock(address.replace("tls://", "tcp://"), Security())
        for path in (of_jobs.tls_ca_file, of_jobs.tls_worker_cert, of_jobs.tls_worker_key):
            assert stat.S_IMODE(tmp_path.joinpath(path).stat().st_mode) == 0o600
        (folder,) = (tmp_path / "shared").iterdir()
        assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert not list((tmp_path / "shared").iterdir())


def test_a_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(ValueError, match="set shared_temp_directory in the cluster file"),
        certificates(tmp_path / "file"),
    ):
        pass
