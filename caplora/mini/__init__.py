"""The mini stack: small models of the real classes, and portraits to train on, so that a whole study runs anywhere.

`world/` draws portraits that show exactly what their captions say. `training/` trains the models on them; notebook
00 does both. The results lie in `models/` and `portraits/`. `reviewer` reviews the captions of the mini portraits as a
person would, for studies that must run without one.
"""
