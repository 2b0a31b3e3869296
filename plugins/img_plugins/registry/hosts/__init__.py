"""Which servers stand behind an image's name, and how each is spoken to.

`model` has the nouns, `containers_conf` and `own` read the two kinds of file, `certs` the certificate folders, and
`choose.Hosts` answers: ``Hosts.of(settings).endpoints(reference)``. Pure but for reading those files: no socket is
opened here. The environment arrives as settings (`img_cli.context`).
"""
