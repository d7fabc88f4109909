"""Who signed: this machine's certificate, made on first use; signatures of labels (ES256) and C2PA manifests.

A C2PA manifest must be signed by a certificate that an authority has issued. On first use an authority is made, issues one certificate
and loses its key: no second certificate can ever be issued in its name. Both stand beside each other in $KINOWATT_HOME/signer
(default: the user's data folder); the key is readable by its owner alone. Nothing in them names a person or a machine.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import kinowatt
from kinowatt.errors import OutputError
from kinowatt.media.image import is_png
from kinowatt.places import HOME_VARIABLE, home

ALGORITHM = "ES256"  # ECDSA on P-256 with SHA-256, the signature as r and s of 32 bytes each (RFC 7518, section 3.4)
KEY, CHAIN = "key.pem", "certificates.pem"
VALID_YEARS = 50  # no timestamp authority is asked, so what a certificate has signed ends with it
CLOCK_SLACK = timedelta(days=1)
# Purposes of the certificate: c2pa-kp-claimSigning (C2PA 2.1, 14.5.1), and emailProtection, without which c2pa-rs 0.91 knows no purpose.
CLAIM_SIGNING, EMAIL_PROTECTION = "1.3.6.1.4.1.62558.2.1", "1.3.6.1.5.5.7.3.4"
MADE_BY_A_MODEL = "http://cv.iptc.org/newscodes/digitalsourcetype/trainedAlgorithmicMedia"
ENERGY_ASSERTION = "org.kinowatt.energy"
# C2PA's hash of an MP4 leaves out the first box, free space, and the manifest with its padding. So the file ends with a box of free
# space in which a signature over all bytes before it stands: then no byte can change unseen. Players and C2PA pass over that box.
SEAL = (8 + 16 + 64).to_bytes(4, "big") + b"free" + b"kinowatt seal  1"
NO_NETWORK = {"remote_manifest_fetch": False, "ocsp_fetch": False}


@dataclass(frozen=True)
class Identity:
    """A key and its certificate, with the authority's behind it; both certificates as DER."""

    key: Any = None
    certificates: tuple[bytes, ...] = ()

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate, in hexadecimal."""
        return fingerprint(self.certificates[0])


@dataclass(frozen=True)
class Manifest:
    """What a file's C2PA manifest says. `codes` are C2PA's names of what failed; `claim` is our own assertion."""

    state: str  # "valid", "absent" or "invalid"
    codes: tuple[str, ...] = ()
    claim: Mapping[str, Any] | None = None


def fingerprint(certificate: bytes) -> str:
    """SHA-256 of a certificate (DER), in hexadecimal."""
    return hashlib.sha256(certificate).hexdigest()


def short(fingerprint: str) -> str:
    """The first 16 digits of a fingerprint, in groups that can be read aloud."""
    return " ".join(fingerprint[i : i + 4] for i in range(0, 16, 4))


def identity(folder: Path | None = None) -> Identity:
    """This machine's certificate, made on first use. OutputError if it can neither be read nor made.

    Two processes that begin at once get the same one: each makes its own aside, and only one can be renamed into place.
    """
    place = (folder or home()) / "signer"
    try:
        if not place.exists():
            _make(place)
        return _load(place)
    except OSError as e:
        raise OutputError(f"no certificate can be kept in {place} ({e.strerror or e}); let {HOME_VARIABLE} name a folder to write") from e


def known(folder: Path | None = None) -> Identity | None:
    """This machine's certificate if there is one; none is made."""
    with contextlib.suppress(OSError, OutputError):
        return _load((folder or home()) / "signer")
    return None


def _load(place: Path) -> Identity:
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization as form

    try:
        key: Any = form.load_pem_private_key((place / KEY).read_bytes(), None)
        chain = x509.load_pem_x509_certificates((place / CHAIN).read_bytes())
        if len(chain) != 2 or chain[0].public_key() != key.public_key():
            raise ValueError("its key and certificates are not of one make")
    except (ValueError, TypeError) as e:
        raise OutputError(f"the certificate in {place} is damaged ({e}); remove that folder, and a new one is made") from e
    return Identity(key, tuple(c.public_bytes(form.Encoding.DER) for c in chain))


def _make(place: Path) -> None:
    """Key and certificates, aside, then renamed as one folder."""
    from cryptography.hazmat.primitives import serialization as form

    key, chain = _issue()
    place.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=".signer-", dir=place.parent))  # its mode is 0700
    try:
        secret = key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
        for name, content in ((KEY, secret), (CHAIN, b"".join(c.public_bytes(form.Encoding.PEM) for c in chain))):
            with os.fdopen(os.open(aside / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
        try:
            aside.rename(place)
        except OSError:
            if not place.exists():  # else another process was first, and its certificate stands
                raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _issue() -> tuple[Any, tuple[Any, Any]]:
    """A key, its certificate, and the certificate of the authority that issued it, whose key ends here."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as form
    from cryptography.hazmat.primitives.asymmetric import ec

    authority, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())
    public = key.public_key()
    digits = hashlib.sha256(public.public_bytes(form.Encoding.DER, form.PublicFormat.SubjectPublicKeyInfo)).hexdigest()[:8]
    begin = datetime.now(UTC).replace(minute=0, second=0, microsecond=0) - CLOCK_SLACK

    def name(role: str) -> x509.Name:
        parts = ((x509.NameOID.ORGANIZATION_NAME, "kinowatt"), (x509.NameOID.COMMON_NAME, f"kinowatt local {role} {digits}"))
        return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])

    def draft(role: str, owner: Any, usage: tuple[str, ...]) -> x509.CertificateBuilder:
        uses = ["digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement"]
        uses += ["key_cert_sign", "crl_sign", "encipher_only", "decipher_only"]
        built = x509.CertificateBuilder(name("authority"), name(role), owner, x509.random_serial_number())
        built = built.not_valid_before(begin).not_valid_after(begin + timedelta(days=VALID_YEARS * 365))
        built = built.add_extension(x509.KeyUsage(**{use: use in usage for use in uses}), critical=True)
        return built.add_extension(x509.SubjectKeyIdentifier.from_public_key(owner), critical=False)

    root = draft("authority", authority.public_key(), ("key_cert_sign", "crl_sign"))
    root = root.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    leaf = draft("signer", public, ("digital_signature",))
    leaf = leaf.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    purposes = [x509.ObjectIdentifier(purpose) for purpose in (CLAIM_SIGNING, EMAIL_PROTECTION)]
    leaf = leaf.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    leaf = leaf.add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key()), critical=False)
    return key, (leaf.sign(authority, hashes.SHA256()), root.sign(authority, hashes.SHA256()))


def canonical(label: Mapping[str, Any]) -> str:
    """The one way to write a label: keys sorted, no spaces, UTF-8. ValueError for NaN and infinity, which JSON does not know."""
    text = json.dumps(label, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace").decode()


def _sign(message: bytes, key: Any) -> bytes:
    """The 64 bytes of an ES256 signature."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    r, s = utils.decode_dss_signature(key.sign(message, ec.ECDSA(hashes.SHA256())))
    return r.to_bytes(32, "big") + s.to_bytes(32, "big")


def _signed_by(message: bytes, value: bytes, certificate: bytes, authority: bytes) -> bool:
    """Whether the certificate was issued by that authority and signed the message."""
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, utils

    try:
        leaf = x509.load_der_x509_certificate(certificate)
        leaf.verify_directly_issued_by(x509.load_der_x509_certificate(authority))
        public = leaf.public_key()
        if not isinstance(public, ec.EllipticCurvePublicKey) or len(value) != 64:
            return False
        der = utils.encode_dss_signature(int.from_bytes(value[:32], "big"), int.from_bytes(value[32:], "big"))
        public.verify(der, message, ec.ECDSA(hashes.SHA256()))
    except (ValueError, TypeError, InvalidSignature, UnsupportedAlgorithm, x509.InvalidVersion):
        return False
    return True


def signed(label: Mapping[str, Any], by: Identity) -> dict[str, Any]:
    """The label with a signature over all the rest of it."""
    value = base64.b64encode(_sign(canonical(label).encode(), by.key)).decode()
    chain = [base64.b64encode(certificate).decode() for certificate in by.certificates]
    return {**label, "signature": {"alg": ALGORITHM, "certificates": chain, "value": value}}


def signer(label: Mapping[str, Any]) -> Identity | None:
    """Whose signature a label carries, without the key; None if it does not fit the label, or is none at all."""
    try:
        block = label["signature"]
        leaf, authority = (base64.b64decode(text, validate=True) for text in block["certificates"])
        value = base64.b64decode(block["value"], validate=True)
        rest = canonical({k: v for k, v in label.items() if k != "signature"}).encode()
        if block["alg"] != ALGORITHM or set(block) != {"alg", "certificates", "value"}:
            return None
    except (KeyError, TypeError, ValueError):
        return None
    return Identity(None, (leaf, authority)) if _signed_by(rest, value, leaf, authority) else None


def attach_manifest(source: Path, target: Path, by: Identity, claim: Mapping[str, Any]) -> None:
    """Write `source` (MP4 or PNG) to `target` with a C2PA manifest that holds `claim`. OutputError if that fails."""
    import c2pa
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization as form

    agent = {"name": "kinowatt", "version": kinowatt.__version__}
    created = {"action": "c2pa.created", "digitalSourceType": MADE_BY_A_MODEL, "softwareAgent": agent}
    assertions = [
        {"label": "c2pa.actions.v2", "data": {"actions": [created]}},
        {"label": ENERGY_ASSERTION, "data": dict(claim)},
    ]
    chain = b"".join(x509.load_der_x509_certificate(c).public_bytes(form.Encoding.PEM) for c in by.certificates)
    secret = by.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    settings = {"builder": {"thumbnail": {"enabled": False}}, "verify": {**NO_NETWORK, "verify_after_sign": False}}
    try:
        with (
            c2pa.Context.from_dict(settings) as context,
            c2pa.Signer.from_info(c2pa.C2paSignerInfo(b"es256", chain, secret, None)) as hand,
            c2pa.Builder({"claim_generator_info": [agent], "assertions": assertions}, context) as builder,
        ):
            builder.sign_file(source, target, hand)
        if not is_png(target):
            with target.open("ab") as file:
                file.write(SEAL + _sign(_sha256(target), by.key))
    except (c2pa.C2paError, OSError) as e:
        raise OutputError(f"{target.name} cannot be given a C2PA manifest: {e}") from e


def read_manifest(path: Path, by: Identity | None) -> Manifest:
    """The manifest of a file. It is valid only if every byte that it covers is unchanged and the certificate of `by` signed it."""
    import c2pa
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization as form

    root = "" if by is None else x509.load_der_x509_certificate(by.certificates[-1]).public_bytes(form.Encoding.PEM).decode()
    settings = {"verify": NO_NETWORK, **({"trust": {"user_anchors": root}} if root else {})}
    try:
        with c2pa.Context.from_dict(settings) as context, c2pa.Reader(path, context=context) as reader:
            report: dict[str, Any] = json.loads(reader.json())
    except (c2pa.C2paError.ManifestNotFound, c2pa.C2paError.NotSupported):  # none, or a container that cannot hold one
        return Manifest("absent")
    except (c2pa.C2paError, OSError, ValueError) as e:
        return Manifest("invalid", (str(e).split(":")[0] or type(e).__name__,))
    codes = {row["code"]: None for row in report.get("validation_status") or ()}
    active = report.get("manifests", {}).get(report.get("active_manifest"), {})
    claim: dict[str, Any] = next((a["data"] for a in active.get("assertions", ()) if a["label"] == ENERGY_ASSERTION), {})
    if not is_png(path) and not (by and _sealed(path, by)):
        codes["kinowatt.seal.mismatch"] = None
    return Manifest("valid" if report.get("validation_state") == "Trusted" and not codes else "invalid", tuple(codes), claim)


def _sealed(path: Path, by: Identity) -> bool:
    """Whether the file ends with a seal over every byte before it."""
    with path.open("rb") as file:
        file.seek(-min(len(SEAL) + 64, path.stat().st_size), os.SEEK_END)
        end = file.read()
    return end.startswith(SEAL) and _signed_by(_sha256(path, len(end)), end[len(SEAL) :], *by.certificates)


def _sha256(path: Path, but: int = 0) -> bytes:
    """Hash of a file without its last `but` bytes."""
    digest, left = hashlib.sha256(), path.stat().st_size - but
    with path.open("rb") as file:
        while left > 0 and (block := file.read(min(left, 2**20))):
            digest.update(block)
            left -= len(block)
    return digest.digest()
