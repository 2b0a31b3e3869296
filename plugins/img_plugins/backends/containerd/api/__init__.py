"""The part of containerd's API that img speaks: ``*.proto`` in our own words, and what protoc made of them.

After a change: ``sh contrib/containerd/generate.sh`` (it says what it takes).
"""
