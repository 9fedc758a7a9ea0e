"""A real Apache Kafka on this machine, for the tests and for trying things out."""
