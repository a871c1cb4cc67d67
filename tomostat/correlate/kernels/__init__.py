"""Registration of maps, and correlation of what is autocorrelated: arrays in, arrays out."""
