//! A short run of the fuzz targets: on any bytes, and on bytes that look valid at first.
#![forbid(unsafe_code)]

#[cfg(test)]
mod properties;
