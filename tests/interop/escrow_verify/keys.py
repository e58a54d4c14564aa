"""Section 2: keys, key ids and strict signatures; section 9: sealing keys."""
import functools
import hashlib
import struct

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from . import strict
from .strict import Bad


def sha256(data):
    return hashlib.sha256(data).digest()


def hexdigest(data):
    return hashlib.sha256(data).hexdigest()


def u64(n):
    return struct.pack(">Q", n)


def labelled(label, *fields):
    """Section 1, L(label, fields): numbers as u64, text as UTF-8, bytes as they are."""
    out = b""
    for field in (label, *fields):
        raw = u64(field) if isinstance(field, int) else field.encode() if isinstance(field, str) else field
        out += u64(len(raw)) + raw
    return out


# Ed25519 in Python's own integers, for the checks that libraries differ in.
P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def decompress(data):
    """The point (x, y) of a canonical encoding, or None."""
    y = int.from_bytes(data, "little")
    sign, y = y >> 255, y & (2**255 - 1)
    if y >= P:
        return None
    u, v = (y * y - 1) % P, (D * y * y + 1) % P
    x = u * pow(v, 3, P) * pow(u * pow(v, 7, P), (P - 5) // 8, P) % P
    if (v * x * x - u) % P:
        x = x * ROOT % P
        if (v * x * x - u) % P:
            return None
    if x == 0 and sign:
        return None
    return (P - x if x & 1 != sign else x), y


def double(point):
    x, y = point
    c = D * x * x * y * y % P
    return 2 * x * y * pow(1 + c, -1, P) % P, (y * y + x * x) * pow(1 - c, -1, P) % P


def sound_point(data):
    """True for the canonical encoding of a point that is not one of the eight of small order."""
    point = decompress(data) if len(data) == 32 else None
    if point is None:
        return False
    return double(double(double(point))) != (0, 1)


sound_key = functools.lru_cache(4096)(sound_point)


@functools.lru_cache(200_000)
def ed25519(key, message, signature):
    if len(signature) != 64 or not sound_key(key) or not sound_point(signature[:32]):
        return False
    if int.from_bytes(signature[32:], "little") >= ORDER:
        return False
    try:
        # The equation without cofactor, comparing the bytes of R.
        Ed25519PublicKey.from_public_bytes(key).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


P256_PRIME = 2**256 - 2**224 + 2**192 + 2**96 - 1
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
P256_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def p256_point(data):
    """True for a point in SEC 1 uncompressed form that is on the curve; the identity has no such form."""
    if len(data) != 65 or data[0] != 4:
        return False
    x, y = int.from_bytes(data[1:33], "big"), int.from_bytes(data[33:], "big")
    return x < P256_PRIME and y < P256_PRIME and (y * y - (x * x * x - 3 * x + P256_B)) % P256_PRIME == 0


@functools.lru_cache(200_000)
def ecdsa(key, message, r, s):
    if not p256_point(key) or not 1 <= r < P256_ORDER or not 1 <= s < P256_ORDER:
        return False
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        public.verify(encode_dss_signature(r, s), message, ec.ECDSA(hashes.SHA256()))
        return True
    except (InvalidSignature, ValueError):
        return False


def es256(key, message, signature):
    if len(signature) != 64:
        return False
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return s <= (P256_ORDER - 1) // 2 and ecdsa(key, message, r, s)


class Reader:
    """Reads SSH wire format."""

    def __init__(self, data):
        self.data = data

    def take(self, n):
        if len(self.data) < n:
            raise Bad("ends too early")
        out, self.data = self.data[:n], self.data[n:]
        return out

    def u32(self):
        return struct.unpack(">I", self.take(4))[0]

    def string(self):
        return self.take(self.u32())

    def end(self):
        if self.data:
            raise Bad("bytes left over")


def ssh_string(data):
    return struct.pack(">I", len(data)) + data


NAMESPACE = b"statement@escrow.v1"
SSH_TYPES = {
    b"ssh-ed25519": (True, False),
    b"ecdsa-sha2-nistp256": (False, False),
    b"sk-ssh-ed25519@openssh.com": (True, True),
    b"sk-ecdsa-sha2-nistp256@openssh.com": (False, True),
}


@functools.lru_cache(1024)
def ssh_key(encoding):
    """(type, is Ed25519, raw key, app or None) of one of the four encodings."""
    if len(encoding) > 512:
        raise Bad("an SSH key has at most 512 bytes")
    reader = Reader(encoding)
    kind = reader.string()
    if kind not in SSH_TYPES:
        raise Bad("an SSH key of another type")
    edwards, device = SSH_TYPES[kind]
    if not edwards and reader.string() != b"nistp256":
        raise Bad("another curve")
    raw = reader.string()
    if not (sound_key(raw) if edwards else p256_point(raw)):
        raise Bad("no sound key inside")
    app = None
    if device:
        app = reader.string()
        try:
            app.decode("utf-8")
        except UnicodeDecodeError as e:
            raise Bad("application is no text") from e
        if not app.startswith(b"ssh:"):
            raise Bad("application does not begin with ssh:")
    reader.end()
    return kind, edwards, raw, app


def _mpint(data):
    if not data or data[0] & 0x80 or (data[0] == 0 and (len(data) < 2 or not data[1] & 0x80)):
        raise Bad("a number not as short as it can be")
    return int.from_bytes(data, "big")


def sshsig(encoding, message, blob):
    try:
        kind, edwards, raw, app = ssh_key(encoding)
        if len(blob) > 4096:
            return False
        outer = Reader(blob)
        if outer.take(6) != b"SSHSIG" or outer.u32() != 1 or outer.string() != encoding:
            return False
        if outer.string() != NAMESPACE or outer.string() != b"" or outer.string() != b"sha512":
            return False
        inner = Reader(outer.string())
        outer.end()
        if inner.string() != kind:
            return False
        numbers = inner.string()
        asked = (b"SSHSIG" + ssh_string(NAMESPACE) + ssh_string(b"") + ssh_string(b"sha512")
                 + ssh_string(hashlib.sha512(message).digest()))
        if app is not None:
            tail = inner.take(5)
            if not tail[0] & 1 or tail[0] & 0xC0:
                return False
            asked = sha256(app) + tail + sha256(asked)
        inner.end()
        if edwards:
            return ed25519(raw, asked, numbers)
        pair = Reader(numbers)
        r, s = _mpint(pair.string()), _mpint(pair.string())
        pair.end()
        return ecdsa(raw, asked, r, s)
    except Bad:
        return False


class Key:
    """A public signature key: method and encoding. `raw` is the bare key, which uniqueness goes by."""

    def __init__(self, spelled):
        method, colon, rest = strict.text(spelled).partition(":")
        encoding = strict.blob(rest) if colon else b""
        if method == "ed25519":
            if not sound_key(encoding):
                raise Bad("no sound Ed25519 key")
            self.raw = encoding
        elif method == "es256":
            if not p256_point(encoding):
                raise Bad("no P-256 key")
            self.raw = encoding
        elif method == "sshsig":
            self.raw = ssh_key(encoding)[2]
        else:
            raise Bad(f"unknown method {method!r:.20}")
        self.method, self.encoding, self.spelled = method, encoding, spelled
        self.digest = sha256(labelled("escrow/v1/key", method, encoding))
        self.id = self.digest[:8].hex()

    def verifies(self, message, signature):
        return {"ed25519": ed25519, "es256": es256, "sshsig": sshsig}[self.method](self.encoding, message, signature)

    def __eq__(self, other):
        return isinstance(other, Key) and self.spelled == other.spelled

    def __hash__(self):
        return hash(self.spelled)

    def __repr__(self):
        return self.spelled[:40]


key = functools.lru_cache(4096)(lambda spelled: Key(spelled))


def public(value):
    return key(strict.text(value))


class Sealing:
    """A sealing key. ML-KEM-768 keys must pass the modulus check of FIPS 203 to be usable."""

    SIZES = {"xwing": 1216, "mlkem768-p256": 1249}

    def __init__(self, suite, raw):
        self.suite, self.raw = suite, raw
        self.digest = hexdigest(labelled("escrow/v1/key", suite, raw))

    def usable(self):
        if len(self.raw) != self.SIZES[self.suite]:
            return False
        for i in range(0, 1152, 3):
            a, b, c = self.raw[i:i + 3]
            if a | (b & 15) << 8 >= 3329 or b >> 4 | c << 4 >= 3329:
                return False
        return self.suite == "xwing" or p256_point(self.raw[1184:])

    def __eq__(self, other):
        return isinstance(other, Sealing) and self.digest == other.digest

    def __hash__(self):
        return hash(self.digest)


_sealing = strict.record(suite=strict.word(*Sealing.SIZES), public=strict.blob)


def sealing(value):
    members = _sealing(value)
    return Sealing(members["suite"], members["public"])
