//! A short run of what the fuzz targets run for hours: on any bytes, and on bytes that look right at first.
#![forbid(unsafe_code)]

#[cfg(test)]
mod properties;
