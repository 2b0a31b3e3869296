"""Remote caches: results of steps for other machines."""
