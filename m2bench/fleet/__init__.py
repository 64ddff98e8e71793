"""One ablation over several machines, whose Dask workers run its trials."""
