"""img for programs: builds and images without a command line. All of it is reached as ``img.NAME``.

Nothing here belongs to the process as a whole: no signal handler, no logging, no warning filter, no variable of the environment
but those that say where the store is. So it works in any thread, under an event loop, in a notebook, and several times at once.
"""
