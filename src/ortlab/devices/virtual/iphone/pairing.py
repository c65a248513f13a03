"""Pairing: which computers the phone trusts, and TLS with them.

A computer makes all certificates itself, also the phone's over the phone's public key, and hands
them over when it pairs. Later the phone presents that certificate and accepts from the computer
only the certificates of the pairing: pymobiledevice3 presents the computer's, libimobiledevice the
root's. They form no chain that a verifier would accept, so each is pinned as it is.
"""

from __future__ import annotations

import os
import ssl
import tempfile
import threading
from collections.abc import Mapping
from typing import Any, Final

from ortlab.devices.virtual.iphone.streams import ProtocolError

_KEY_BITS: Final = 2048
_CERTIFICATES: Final = ("DeviceCertificate", "HostCertificate", "RootCertificate")
_ESCROW_BYTES: Final = 32


class PairingStore:
    """The computers that a phone trusts; safe to use from several threads."""

    def __init__(self) -> None:
        # Imported here: what only reads a specification needs no cryptography.
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import rsa

        key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
        self.public_key = key.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.PKCS1
        )
        self._private_key = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        self._records: dict[str, dict[str, bytes]] = {}
        self._lock = threading.Lock()

    def trusts(self, host_id: object) -> bool:
        """Whether a computer is paired."""
        return isinstance(host_id, str) and host_id in self._records

    def add(self, record: Mapping[str, Any]) -> bytes:
        """Trust a computer; return the escrow bag that it gets.

        Raises:
            ProtocolError: The record is not whole.
        """
        host_id = record.get("HostID")
        certificates = {name: record.get(name) for name in _CERTIFICATES}
        if not isinstance(host_id, str):
            message = "a pair record without HostID"
            raise ProtocolError(message)
        kept: dict[str, bytes] = {}
        for name, value in certificates.items():
            if not isinstance(value, bytes):
                message = f"a pair record without {name}"
                raise ProtocolError(message)
            kept[name] = value.rstrip(b"\0")
        with self._lock:
            self._records[host_id] = kept
        return os.urandom(_ESCROW_BYTES)

    def remove(self, host_id: object) -> None:
        """Trust a computer no more."""
        with self._lock:
            self._records.pop(str(host_id), None)

    def clear(self) -> None:
        """Trust no computer, as after resetting the phone's privacy settings."""
        with self._lock:
            self._records.clear()

    def tls(self, host_id: str) -> ssl.SSLContext:
        """Return what the phone's side of TLS with a paired computer needs.

        Raises:
            ProtocolError: It is not paired, or its certificates are damaged.
        """
        record = self._records.get(host_id)
        if record is None:
            message = f"{host_id} is not paired"
            raise ProtocolError(message)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers("ALL:@SECLEVEL=0")  # libimobiledevice makes SHA-1 certificates
        try:
            with tempfile.NamedTemporaryFile(suffix=".pem") as file:
                file.write(record["DeviceCertificate"] + b"\n" + self._private_key)
                file.flush()
                context.load_cert_chain(file.name)
            context.verify_mode = ssl.CERT_REQUIRED
            context.verify_flags = ssl.VerifyFlags.VERIFY_X509_PARTIAL_CHAIN
            for name in ("HostCertificate", "RootCertificate"):
                context.load_verify_locations(cadata=record[name].decode("ascii"))
        except (ssl.SSLError, UnicodeDecodeError) as error:
            message = f"certificates of {host_id} that cannot be used: {error}"
            raise ProtocolError(message) from error
        return context
