"""Pose priors: how plausible a body, its hands and its face are, and the most plausible ones."""
