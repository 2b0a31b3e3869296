"""Who owns what in a step that has one id: a recorder answers what the kernel can't (docs/decisions/0022).

In a user namespace with a single id every file is root's and no process can be anybody else. The kernel does all that
works there: modes, links, contents, file capabilities. What does not is asked of the *recorder* by way of seccomp's user
notification (seccomp_unotify(2)): who a process is, whose a file is, and every call that makes a file, since its owner
follows from both. The recorder is a process of its own in the step's mounts but outside of its process namespace. Standard
library only.

* `calls`: numbers and structures of the kernel on each machine.
* `program`: the filter that sends just these calls to the recorder.
* `listener`: receiving and answering them, and the memory of the process that asks.
* `identity`: the ids of processes. `table`: the owners of files.
* `asking`, `making`, `being`: the answers, about files, new files and processes.
* `recorder`: the process.
"""
