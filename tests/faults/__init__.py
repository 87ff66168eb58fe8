"""What goes wrong in practice, done on purpose. `make test` runs a short form, `make faults` all of it."""
