"""What step-by-step backends share: file operations, mounts, users, and running a process over a root."""
