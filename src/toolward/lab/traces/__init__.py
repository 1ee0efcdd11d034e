"""Public benign traces through the real corridor: how many calls of honest work are asked about or denied."""
