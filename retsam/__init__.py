"""RetSAM: colour fundus photographs and a table of labels in, odds ratios that a paper can print out.

The rooms of the package, from the ground up (a room imports only from floors below it):

0. ``status``, ``errors``, ``taxonomy``, ``geometry``, ``field``, ``tables``, ``metrics``, ``agreement``, ``config``,
   ``planning``, ``provenance``, ``logs``, ``io``, ``weights`` (package data)
1. ``phantom``       synthetic photographs and cohorts with truth
2. ``quality``, ``segmentation``, ``datasets`` (public annotated sets, for training and benchmarks), and on top of
   them ``training``
3. ``biomarkers``, ``evaluation``
4. ``cohort``
5. ``association``, ``report``
6. ``cli``

``import retsam`` loads none of them, and neither torch nor matplotlib.
"""

__version__ = "0.1.0"
