//! The text that a process has written to a file.

use std::fs::File;
use std::io::{Read as _, Seek as _};

use anyhow::Result;

pub(crate) fn of(mut file: File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
