//! Programs of others against the running system: grpcurl, health probes, ghz, and the tools that watch. A missing
//! program is left out, with a line that says so; `cargo xtask outside` builds all of them.

mod grpcurl;
mod kubelet;
mod load;
mod pages;
mod probe;
mod watching;
