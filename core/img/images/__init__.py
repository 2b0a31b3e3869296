"""Finished images: looked at, named, moved, compared, checked. Functions over a `img.ports.Host`.

An image can be in the store, in a registry, in a layout (a folder), or in an archive (of docker's or a layout as tar). Where
it is, a `Provider` reads it, and everything here works on those. Documents and blobs travel as the bytes they are: a digest
changes only where the format does.

    session.engine is a Host:    from img.images.inspect import inspect;  inspect(session.engine, "app")
"""
