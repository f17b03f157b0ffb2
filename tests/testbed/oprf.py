"""The oblivious function of deconfliction from RFC 9497 and RFC 9496 alone, in slow and plain arithmetic:
nothing of the programs' code or libraries is used, so that both cannot be wrong in the same way."""

import base64
import hashlib
import secrets

P = 2 ** 255 - 19
ORDER = 2 ** 252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
SQRT_M1 = pow(2, (P - 1) // 4, P)
CONTEXT = b"OPRFV1-\x00-ristretto255-SHA512"


def is_negative(value):
    return value % P & 1


def absolute(value):
    return -value % P if is_negative(value) else value % P


def sqrt_ratio(u, v):
    """(was_square, root) of RFC 9496, 4.2."""
    root = u * v ** 3 * pow(u * v ** 7 % P, (P - 5) // 8, P) % P
    check = v * root * root % P
    correct, flipped, flipped_i = check == u % P, check == -u % P, check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        root = root * SQRT_M1 % P
    return correct or flipped, absolute(root)


INVSQRT_A_MINUS_D = sqrt_ratio(1, (-1 - D) % P)[1]
SQRT_AD_MINUS_ONE = sqrt_ratio((-D - 1) % P, 1)[1]
if SQRT_AD_MINUS_ONE != 25063068953384623474111414158702152701244531502492656460079210482610430750235:
    SQRT_AD_MINUS_ONE = -SQRT_AD_MINUS_ONE % P


def add(one, other):
    x1, y1, z1, t1 = one
    x2, y2, z2, t2 = other
    a, b = (y1 - x1) * (y2 - x2), (y1 + x1) * (y2 + x2)
    c, d = 2 * t1 * t2 * D, 2 * z1 * z2
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def multiply(scalar, point):
    result = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def encode(point):
    """RFC 9496, 4.3.2."""
    x0, y0, z0, t0 = point
    u1, u2 = (z0 + y0) * (z0 - y0) % P, x0 * y0 % P
    inverse = sqrt_ratio(1, u1 * u2 * u2 % P)[1]
    den1, den2 = inverse * u1 % P, inverse * u2 % P
    z_inverse = den1 * den2 * t0 % P
    if is_negative(t0 * z_inverse):
        x, y, den = y0 * SQRT_M1 % P, x0 * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    else:
        x, y, den = x0, y0, den2
    if is_negative(x * z_inverse):
        y = -y % P
    return absolute(den * (z0 - y)).to_bytes(32, "little")


def decode(octets):
    """RFC 9496, 4.3.1."""
    s = int.from_bytes(octets, "little")
    assert s < P and not is_negative(s)
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-D * u1 * u1 - u2 * u2) % P
    square, inverse = sqrt_ratio(1, v * u2 * u2 % P)
    den_x = inverse * u2 % P
    den_y = inverse * den_x * v % P
    x, y = absolute(2 * s * den_x), u1 * den_y % P
    t = x * y % P
    assert square and not is_negative(t) and y
    return x, y, 1, t


def elligator(value):
    """MAP of RFC 9496, 4.3.4."""
    t = (int.from_bytes(value, "little") & (2 ** 255 - 1)) % P
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * (1 - D * D) % P, (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    if not square:
        s, c = -absolute(s * t) % P, r
    else:
        c = -1 % P
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


def expand(message, tag):
    """expand_message_xmd of RFC 9380 with SHA-512 to 64 octets."""
    tag += bytes([len(tag)])
    first = hashlib.sha512(bytes(128) + message + b"\x00\x40\x00" + tag).digest()
    return hashlib.sha512(first + b"\x01" + tag).digest()


def hash_to_group(data):
    uniform = expand(data, b"HashToGroup-" + CONTEXT)
    return add(elligator(uniform[:32]), elligator(uniform[32:]))


def derive_key(seed, info=b"tamis interest key"):
    text = seed + len(info).to_bytes(2, "big") + info + b"\x00"
    return int.from_bytes(expand(text, b"DeriveKeyPair" + CONTEXT), "little") % ORDER


def blind(data, scalar=None):
    scalar = scalar or 1 + secrets.randbelow(ORDER - 1)
    return scalar, encode(multiply(scalar, hash_to_group(data)))


def finalize(data, scalar, evaluated):
    element = encode(multiply(pow(scalar, -1, ORDER), decode(evaluated)))
    return hashlib.sha512(len(data).to_bytes(2, "big") + data + b"\x00\x20" + element + b"Finalize").digest()


def output(key, data):
    element = encode(multiply(key, hash_to_group(data)))
    return hashlib.sha512(len(data).to_bytes(2, "big") + data + b"\x00\x20" + element + b"Finalize").digest()


def token(relation, out):
    return hashlib.sha256(b"tamis-interest-v1\0" + relation.encode() + b"\0" + out).digest()


def text_of(octets):
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode()


def octets_of(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
