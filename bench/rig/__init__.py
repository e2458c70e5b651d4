"""What the benchmarks are made of: servers, load generators, and meters that read /proc."""
