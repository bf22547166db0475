"""The page to look at one video's detections and correct them, and the index of a folder of such pages."""
