//! Why a mail was not handed over.

use std::io;

/// The text never contains an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the address is not a valid mail address")]
    Address,
    #[error("the code in the mail has expired")]
    Expired,
    #[error(
        "the code in the mail cannot be decrypted: set the same MAIL_SEALING_KEY as in the user service"
    )]
    Sealed,
    #[error("the mail server cannot deliver to addresses with such characters")]
    Unsupported,
    #[error("the mail server refused the mail ({0})")]
    Refused(u16),
    #[error("the mail server could not take the mail yet ({0})")]
    NotYet(u16),
    #[error("the mail server refused the login ({0})")]
    NotAdmitted(u16),
    #[error("the mail server could not be reached")]
    Unreachable,
    #[error("the connection to the mail server was lost")]
    Interrupted,
    #[error("the mail server did not answer in time")]
    TimedOut,
    #[error("the mail folder could not be written ({0})")]
    Folder(io::ErrorKind),
}
