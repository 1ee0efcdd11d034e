"""What each channel serves, how that changes, and what is listed of it."""
