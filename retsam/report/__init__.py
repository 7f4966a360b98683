"""Figures, tables and one self-contained HTML report of a cohort.

``inputs``    what a report is made from
``style``     the project's look: sizes, colours, deterministic SVG and PNG
``figures``   one module a purpose: forest plots, flow diagram, quality ...
``tables``    the tables as text, ready to print
``folding``   long tables in parts
``analyses``  tables of other analyses: shape, strata, interactions, sensitivity
``truth``     estimates of a simulated cohort beside its true coefficients
``prose``     the sentences written from the numbers
``results``   the results in words
``strobe``    the STROBE checklist, filled in
``overlays``  sample thumbnails with outlines
``plates``    the figures of the page with their captions
``html``      :func:`retsam.report.html.build_report`
"""
