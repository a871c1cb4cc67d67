"""A reader, a detector and a measure for tomostat."""
