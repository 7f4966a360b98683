"""Figures, tables and one self-contained HTML report of a cohort.

``inputs``    what a report is made from
``style``     the project's look: sizes, colours, deterministic SVG and PNG
``figures``   one module a purpose: forest plots, flow diagram, quality ...
``tables``    the tables as text, ready to print
``truth``     estimates of a simulated cohort beside its true coefficients
``prose``     the sentences written from the numbers
``overlays``  sample thumbnails with outlines
``html``      :func:`retsam.report.html.build_report`
"""
