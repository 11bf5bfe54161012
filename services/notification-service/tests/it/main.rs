//! The service from outside: events through its broker, calls over its socket, mails to a folder or a mail server.
//! `cfg(test)`: lints treat the modules as test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod access;
#[cfg(test)]
mod accounts;
#[cfg(test)]
mod batches;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod codes;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod events;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod files;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod full_folder;
#[cfg(test)]
mod kinds;
#[cfg(test)]
mod list;
#[cfg(test)]
mod mail_server;
#[cfg(test)]
mod mailer;
#[cfg(test)]
mod mails;
#[cfg(test)]
mod notices;
#[cfg(test)]
mod post;
#[cfg(test)]
mod preferences;
#[cfg(test)]
mod publishing;
#[cfg(test)]
mod resend;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod senders;
#[cfg(test)]
mod smtp;
#[cfg(test)]
mod telemetry;
