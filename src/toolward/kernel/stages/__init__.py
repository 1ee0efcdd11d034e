"""The eight stages, one file each; `kernel.gateway` is the only one that orders them."""
