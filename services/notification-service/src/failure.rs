//! Why a mail was not handed over.

use std::io;

/// Why a mail was not handed over, in words that name no address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    #[error("the address is none that mail can be sent to")]
    Address,
    #[error("the code in the mail does not work any more")]
    Expired,
    #[error(
        "the code in the mail cannot be opened: MAIL_SEALING_KEY is not the one that the user service has"
    )]
    Sealed,
    #[error("the mail server cannot deliver to addresses with such characters")]
    Unsupported,
    #[error("the mail server refused the mail ({0})")]
    Refused(u16),
    #[error("the mail server could not take the mail yet ({0})")]
    NotYet(u16),
    #[error("the mail server did not let us in ({0})")]
    NotAdmitted(u16),
    #[error("the mail server could not be reached")]
    Unreachable,
    #[error("the connection to the mail server was lost")]
    Interrupted,
    #[error("the mail server did not answer in time")]
    TimedOut,
    #[error("the folder of mails could not be written ({0})")]
    Folder(io::ErrorKind),
}
