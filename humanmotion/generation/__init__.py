"""Motion from text and from reference motion: features, networks, sampling and control."""
