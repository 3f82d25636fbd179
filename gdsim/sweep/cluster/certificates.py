"""Certificates of one sweep's cluster: made for it, in files that only its user may read, gone at its end."""

import contextlib
import pathlib
import shutil
import tempfile
from collections.abc import Iterator
from typing import Any

from gdsim.filenames import user_path
from gdsim.store.files import has_died, writer_of, writing_here
from gdsim.words import need

PREFIX = ".gdsim-tls-"


@contextlib.contextmanager
def certificates(folder: str | None) -> Iterator[Any]:
    """A `distributed.Security` of a certificate made for one sweep, in files of a folder that only this user
    may enter, removed at the end.

    Those of sweeps that were killed on this machine are removed before. Raises ValueError where the package
    for them is missing.
    """
    need("cryptography", "tls = true", "cluster")
    import distributed  # which only a cluster needs

    around = user_path(folder or ".").resolve()
    _remove_abandoned(around)
    made = distributed.Security.temporary()
    with tempfile.TemporaryDirectory(prefix=f"{writing_here(PREFIX)}-", dir=around) as place:
        certificate, key = pathlib.Path(place) / "certificate.pem", pathlib.Path(place) / "key.pem"
        certificate.write_text(made.tls_client_cert)
        key.write_text(made.tls_client_key)
        roles = {f"tls_{role}_{part}": str(file) for role in ("client", "scheduler", "worker") for part, file in (("cert", certificate), ("key", key))}
        yield distributed.Security(tls_ca_file=str(certificate), require_encryption=True, **roles)


def settings_of(security: Any) -> dict[str, Any]:
    """Dask's settings that say what a `Security` says; files are named, and nothing secret stands in them."""
    settings: dict[str, Any] = {"distributed.comm.require-encryption": True, "distributed.comm.tls.ca-file": security.tls_ca_file}
    for role in ("client", "scheduler", "worker"):
        found = security.get_tls_config_for_role(role)
        settings |= {f"distributed.comm.tls.{role}.{part}": found[part] for part in ("cert", "key")}
    return settings


def _remove_abandoned(folder: pathlib.Path) -> None:
    """Removes what processes of this machine that were killed have left."""
    for path in folder.glob(f"{PREFIX}*"):
        if has_died(writer_of(path.name, PREFIX)):
            shutil.rmtree(path, ignore_errors=True)
