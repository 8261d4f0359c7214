"""The bridge to scikit-learn: callbacks, progress, links, the look through searches."""
