"""Whether an estimator is right: every figure that a dataset lets one know, beside what controls score."""
