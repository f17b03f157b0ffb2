"""The takeover of 2014 in network namespaces, as it happened and as Tamis does it: make replay-2014."""
