"""Five rooms of the same shape: ``model`` decides, ``handlers`` react, ``api`` answers, ``rules`` judge."""
