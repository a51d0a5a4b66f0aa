"""Model versions as immutable archives: written reproducibly, sealed with digest and lineage, kept in a catalogue."""
