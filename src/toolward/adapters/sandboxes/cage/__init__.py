"""What runs in the zygote and in cages: the standard library and these files, nothing else of toolward.

A zygote is a small process with an empty environment that forks one worker for each call. It is started by
`exec`, so nothing of the gateway's memory is in it. Siblings are imported relatively: the zygote knows this
directory as the top-level package `cage`.
"""
