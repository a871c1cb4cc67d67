"""What a particle touches: carbon-binder, other particles, the current collector; and how far other particles are.

Contact with carbon-binder is decided in three steps: `profiles` undoes the blur of the grey values along the normals,
`layers.find_layers` makes a value of them for every surface point, and `layers.decide_contact` tells carbon-binder from
void by the rules of `classify`. Without grey values it is read off the phases (`segmented.contact_in_phases`), without
carbon-binder it is unknown (`layers.contact_without_binder`): `tomostat.measure.particle.Particle.contact` chooses.
`detachment` and `tomostat.measure.transport` make columns of it.
"""
