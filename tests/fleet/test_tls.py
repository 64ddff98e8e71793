"""A scheduler that asks for certificates, as Dask's configuration says: who has none that it accepts is kept out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import dask
import distributed  # (whose configuration must be there before it is changed)
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from launched import wait_until
from machines import Machines

from m2bench.errors import UserError
from m2bench.fleet import cluster
from m2bench.fleet.cluster import Cluster

CONFIG = "distributed.comm.tls"


def make_certificate(folder: Path) -> dict[str, str]:
    """A key, and a certificate that is signed by nobody else; Dask's configuration that names them."""
    folder.mkdir()
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, folder.name)])
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True).sign(key, hashes.SHA256())
    )  # fmt: skip
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(*private))
    own = {"cert": str(folder / "cert.pem"), "key": str(folder / "key.pem")}
    roles = {
        f"{CONFIG}.{role}.{what}": path for role in ("scheduler", "worker", "client") for what, path in own.items()
    }
    return {f"{CONFIG}.ca-file": own["cert"], **roles}


def start(machines: Machines, name: str, config: dict[str, str], of: str, *words: str, **options: object) -> None:
    """Start a scheduler or a worker as a process of its own, which finds the configuration where Dask looks for it."""
    spec = {"cls": f"distributed.{of}", "opts": {"dashboard": False, **options}}
    environment = {f"DASK_{key.upper().replace('.', '__').replace('-', '_')}": path for key, path in config.items()}
    arguments = ["-m", "distributed.cli.dask_spec", *words, "--spec", json.dumps(spec)]
    machines.start(name, "python", arguments=arguments, environment=environment)


def test_who_has_no_certificate_that_the_scheduler_accepts_is_kept_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert distributed.comm
    monkeypatch.setattr(cluster, "CONNECT_S", 3.0)
    own, foreign = (make_certificate(tmp_path / name) for name in ("own", "foreign"))
    nowhere = {key: f"{path}.gone" for key, path in own.items()}
    with Machines(tmp_path / "machines") as machines:
        tcp, tls = machines.scheduler, machines.scheduler.replace("tcp", "tls")
        start(machines, "scheduler", own, "Scheduler", host=tls, dashboard_address=":0")
        for name, config in (("one", own), ("stranger", foreign)):
            start(machines, name, config, "Worker", tls, nthreads=1)
        log = machines.folder / "scheduler.log"
        wait_until(lambda: "TLS handshake failed" in log.read_text() and "Register worker" in log.read_text(), 20)
        with dask.config.set(own), Cluster(tls) as found:
            (machine,) = found.look()
            assert machine.name == "one"
            assert found.ask(machine, pow, 2, 3) == 8
        for told, address, config in (
            ("TLS certificate does not match", tls, foreign),
            ("perhaps check your TLS configuration", tls, {}),
            ("No such file", tls, nowhere),
            ("encryption required", tcp, {**own, "distributed.comm.require-encryption": "true"}),
            ("tls:// where it asks for certificates", tcp, own),
        ):
            with dask.config.set(config), pytest.raises(UserError) as refused:
                Cluster(address)
            assert str(refused.value).startswith(f"no Dask scheduler answers at {address} (")
            assert told in str(refused.value)
