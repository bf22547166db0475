"""Two-step rows: intervals first, emotions by another network: CEFLNet, or STR, which also has a spotter of its own."""
