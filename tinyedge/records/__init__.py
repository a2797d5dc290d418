"""Models of the records that tinyedge writes, reads and publishes."""
