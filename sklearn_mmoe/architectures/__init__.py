"""Networks: layers assembled into one :class:`keras.Model` for each architecture."""
