"""Training of the network on frames whose data sets annotate different targets.

- ``frames``   photographs with the targets that are known of them; ``sources`` makes them
- ``augment``  random views of them      - ``batches``  batches of such views
- ``losses``   losses for partial labels - ``trainer``  the loop

Only ``frames`` and ``sources`` can be imported without torch.
"""
