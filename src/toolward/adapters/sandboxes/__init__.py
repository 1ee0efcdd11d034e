"""Cages for tools: namespaces, Landlock, WebAssembly. `cage/` is what runs on the other side."""
