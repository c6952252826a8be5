"""The records of a segment of a write-ahead log, as far as tests damage them."""

import pathlib
import struct

ENTRY = 2
_LENGTH_BITS = (1 << 56) - 1


def records(data):
    """(offset of its frame, length of its message) of each record, up to the unused end."""
    at = 0
    while at + 8 <= len(data):
        word = struct.unpack_from("<Q", data, at)[0]
        if word == 0:
            return
        length = word & _LENGTH_BITS
        yield at, length
        # The bytes behind a message up to a multiple of eight are nobody's: no checksum is over them.
        at += 8 + length + ((word >> 56) & 7 if word >> 63 else 0)


def _fields(data, at, end):
    """(number, value or begin, end) of each field of a message, which has varints and bytes only."""
    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at, value, shift = at + 1, value | (byte & 0x7F) << shift, shift + 7
            if byte < 0x80:
                return value

    while at < end:
        key, value = varint(), varint()
        if key & 7 == 2:
            yield key >> 3, at, at + value
            at += value
        else:
            yield key >> 3, value, None


def entries(data):
    """(begin, end) of the bytes of each entry, which the record's checksum is over."""
    found = []
    for at, length in records(data):
        fields = {number: (value, end) for number, value, end in _fields(data, at + 8, at + 8 + length)}
        if fields.get(1, (0, None))[0] == ENTRY and 3 in fields:
            found.append(fields[3])
    return found


def offset_in_an_entry(path, count):
    """Where `count` bytes lie in an entry in the middle of this segment: whoever changes them damages it. How long the
    records before are depends on IDs, so no fixed offset does."""
    long_enough = [begin for begin, end in entries(pathlib.Path(path).read_bytes()) if end - begin >= count]
    return long_enough[len(long_enough) // 2]
