"""Measurements that can be trusted as ratios within one run: the product beside the least that could do the job."""
