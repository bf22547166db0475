"""One's own videos and a ready model: watch a video once, detect, write tables and a page (command `detect`)."""
