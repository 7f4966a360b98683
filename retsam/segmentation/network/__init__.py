"""The RetSAM network: one model for every target.

- ``config``     presets and which head predicts which target; needs no torch
- ``encoder``    SAM's image encoder, with optional adapters
- ``detail``     convolutional branch for thin things, and the blocks it is made of
- ``fusion``     how the two are joined
- ``normalise``  photographs to tensors
- ``model``      the whole
- ``fast``       the whole made ready for prediction
- ``checkpoint`` weights, form and provenance in one file
- ``maps``       probability maps of a frame, made when they are asked for
- ``findings``   probability maps to masks and points; needs no torch
- ``engine``     a checkpoint as a segmentation engine
"""
