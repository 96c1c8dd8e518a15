//! Probes over HTTP, TCP, commands and files.
