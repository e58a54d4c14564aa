"""Sections 1 and 3: the strict JSON profile, the words in it, and shapes made of them."""
import base64
import binascii
import datetime
import json
import re

INT_MAX = 2**53 - 1
DEPTH = 16
WHITE = " \t\n\r"


class Bad(Exception):
    """The bytes are not what their place asks for; the text says what."""


def _object(pairs):
    members = dict(pairs)
    if len(members) != len(pairs):
        raise Bad("a member stands twice")
    return members


def _integer(text):
    value = int(text)
    if text == "-0" or abs(value) > INT_MAX:
        raise Bad(f"the number {text} is out of range")
    return value


def _no_number(text):
    raise Bad(f"{text} is no integer")


_decoder = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_no_number,
                            parse_constant=_no_number)


def _depth(text):
    """How deep objects and lists nest, before a parser recurses into them."""
    deepest = depth = 0
    inside = escaped = False
    for c in text:
        if inside:
            if escaped:
                escaped = False
            elif c == "\\":
                escaped = True
            elif c == '"':
                inside = False
        elif c == '"':
            inside = True
        elif c in "[{":
            depth += 1
            deepest = max(deepest, depth)
        elif c in "]}":
            depth -= 1
    return deepest


def parse(data, limit):
    """One JSON value under the strict profile of section 3, of at most `limit` bytes."""
    if len(data) > limit:
        raise Bad(f"{len(data)} bytes, at most {limit}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as e:
        raise Bad("not UTF-8") from e
    if _depth(text) > DEPTH:
        raise Bad("nested too deep")
    start = len(text) - len(text.lstrip(WHITE))
    try:
        value, end = _decoder.raw_decode(text, start)
    except (ValueError, RecursionError) as e:
        raise Bad(f"not JSON: {e}") from e
    if text[end:].strip(WHITE):
        raise Bad("something follows the value")
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as e:
        raise Bad("half of a surrogate pair") from e
    return value


# Words and shapes. Each answers the value, checked; or raises Bad.

def text(value):
    if not isinstance(value, str):
        raise Bad(f"text expected, not {value!r:.60}")
    return value


def boolean(value):
    if not isinstance(value, bool):
        raise Bad("true or false expected")
    return value


def number(low=0, high=INT_MAX):
    def check(value):
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise Bad(f"a number from {low} to {high} expected, not {value!r:.60}")
        return value
    return check


def match(pattern, what):
    compiled = re.compile(pattern, re.ASCII)

    def check(value):
        if not compiled.fullmatch(text(value)):
            raise Bad(f"{what} expected, not {value!r:.80}")
        return value
    return check


org = person = match(r"[a-z0-9._-]{1,64}", "an id")
role = match(r"[a-z0-9-]{1,32}", "a role")
code = match(r"[A-Za-z0-9._:/# -]{1,128}", "a code")
matter = match(r"[A-Za-z0-9._-]{1,64}", "a matter id")
digest = match(r"[0-9a-f]{64}", "a digest")
seat = number(1, 255)
u8, u32 = number(0, 255), number(0, 2**32 - 1)


def blob(value):
    """Canonical base64, decoded."""
    try:
        raw = base64.b64decode(text(value).encode("ascii"), validate=True)
    except (UnicodeEncodeError, binascii.Error) as e:
        raise Bad("not base64") from e
    if base64.b64encode(raw).decode() != value:
        raise Bad("not canonical base64")
    return raw


def nonce(value):
    if len(blob(value)) != 16:
        raise Bad("a nonce has 16 bytes")
    return value


_time = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{3})Z", re.ASCII)
_epoch = datetime.datetime(1970, 1, 1)
LATEST = 253_402_300_799_999    # the end of the year 9999


def time(value):
    """Milliseconds since 1970."""
    parts = _time.fullmatch(text(value))
    try:
        year, month, day, hour, minute, second, milli = map(int, parts.groups())
        when = datetime.datetime(year, month, day, hour, minute, second, milli * 1000)
    except (AttributeError, ValueError) as e:
        raise Bad(f"{value!r:.60} is no time") from e
    if year < 1970:
        raise Bad("before 1970")
    return (when - _epoch) // datetime.timedelta(milliseconds=1)


def show_time(millis):
    when = _epoch + datetime.timedelta(milliseconds=min(millis, LATEST))
    return when.strftime("%Y-%m-%dT%H:%M:%S.") + f"{when.microsecond // 1000:03d}Z"


_token = re.compile(r"v([1-9][0-9]*):([0-9a-f]{64})", re.ASCII)


def token(value):
    """A token as (version, hex): these pairs sort as section 4.3 asks."""
    parts = _token.fullmatch(text(value))
    if not parts or int(parts[1]) >= 2**32:
        raise Bad(f"{value!r:.80} is no token")
    return int(parts[1]), parts[2]


def show_token(pair):
    return f"v{pair[0]}:{pair[1]}"


def optional(shape):
    return lambda value: None if value is None else shape(value)


def listed(shape, low=0, high=None, ordered=False, key=lambda v: v):
    """A list; `ordered`: ascending by `key`, none twice."""
    def check(value):
        if not isinstance(value, list) or len(value) < low or (high is not None and len(value) > high):
            raise Bad(f"a list of {low} to {high if high is not None else 'any number of'} members expected")
        members = [shape(v) for v in value]
        if ordered and any(key(a) >= key(b) for a, b in zip(members, members[1:])):
            raise Bad("not sorted, or twice")
        return members
    return check


def record(**members):
    """An object with exactly these members. A trailing _ in a name is left out (Python's own words)."""
    shapes = {name.rstrip("_"): shape for name, shape in members.items()}

    def check(value):
        if not isinstance(value, dict):
            raise Bad("an object expected")
        if value.keys() != shapes.keys():
            odd = sorted(value.keys() ^ shapes.keys())
            raise Bad(f"members missing or unknown: {', '.join(odd)[:200]}")
        out = {}
        for name, shape in shapes.items():
            try:
                out[name] = shape(value[name])
            except Bad as e:
                raise Bad(f"{name}: {e}") from None
        return out
    return check


def one_of(*words, **objects):
    """A plain word, or an object with one member: answered as (name, value)."""
    def check(value):
        if isinstance(value, str) and value in words:
            return value, None
        if isinstance(value, dict) and len(value) == 1:
            (name, inner), = value.items()
            if name in objects:
                return name, objects[name](inner)
        raise Bad(f"one of {', '.join((*words, *objects))} expected")
    return check


def word(*words):
    def check(value):
        if text(value) not in words:
            raise Bad(f"one of {', '.join(words)} expected")
        return value
    return check


def also(shape, rule, message):
    """A shape with one more rule."""
    def check(value):
        out = shape(value)
        if not rule(out):
            raise Bad(message)
        return out
    return check
