"""X-ray absorption spectra of pixels, and the drift of images: arrays in, arrays out."""
