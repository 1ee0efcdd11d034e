"""A world in a box: demo, benchmarks, conformance, interoperability and torture."""
