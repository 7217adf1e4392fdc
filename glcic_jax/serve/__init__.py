"""The eraser: a page and an HTTP interface that complete photographs with models on this machine."""
