"""One wire protocol a module; none knows another."""
