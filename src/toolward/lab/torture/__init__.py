"""Torture: kills, failing disks and hostile callers under load, judged by an independent witness.

    python -m toolward.lab.torture [--kills 200] [--seed N]        (make torture)

The witness is the tool server: it writes down every effect by the unique key that the caller put into the
arguments. What the callers were told, what the witness saw and what the log holds are then compared; the
log is never its own judge.
"""
