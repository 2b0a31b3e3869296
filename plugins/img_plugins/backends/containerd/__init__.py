"""Steps as containerd's tasks, and what is said to containerd by whoever else has something for it."""
