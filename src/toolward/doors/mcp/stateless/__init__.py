"""The 2026-07-28 era: every request stands for itself."""
