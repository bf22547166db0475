"""Model bundles: a trained detector with all that its use needs and all that should be known of it, in one folder."""
