"""Files as values: entries, the trees they are read from, and the selections a COPY makes.

Knows nothing of tar, images, the IR or the network. Standard library only: this code also runs in the sandbox.
"""
