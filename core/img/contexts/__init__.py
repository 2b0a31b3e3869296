"""Build contexts: where the files of a build come from, and how each kind becomes a folder.

    main      the folder, archive, repository or URL that `img build` names, and the build file in or beside it
    named     what ``--build-context NAME=VALUE`` gives, opened when a build file asks for it
    archive   untrusted tars, on standard input or behind a URL, unpacked without owners
    remote    URLs: a git repository, a tar, or a single file
    reading   small files of a context
    listing   what a build sees of a context, and which rule of which ignore file decides

Whatever it came from, a context is a folder (`Engine.contexts`, by name) that is only read, and its files belong to 0:0
in an image. Folders made here are kept in the store by what they stand for, or belong to the run.
"""
