"""A program that packs the same bytes at every level of gzip and tells their digests."""

PACKING = """
import hashlib, random, sys
from img.oci.compress import gzip_chunks, gzip_member
draw = random.Random(5)
buffers = [bytes(draw.choices(b"abcdefgh \\n", k=draw.randrange(3000))) for _ in range(200)]
for level in range(10):
    seen = hashlib.sha256(b"".join(gzip_chunks([*buffers, open(sys.executable, "rb").read(2 << 20)], level=level)))
    for buffer in buffers:
        seen.update(gzip_member(buffer, level))
    print(level, seen.hexdigest())
"""
