"""Rug pulls: hostile servers that change after they were trusted, each with a control without a gateway."""
