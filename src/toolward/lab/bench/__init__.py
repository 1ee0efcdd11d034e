"""What the gateway costs, beside its peers and against its budgets: `python -m toolward.lab.bench`.

Load, upstream, gateway and peers are processes of their own; CPU is read from /proc for the target's whole
process tree, so that a figure is what the target spent and not what measuring it cost.
"""
