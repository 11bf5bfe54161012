//! The service from outside: over its socket, on both stores, with its broker. `cfg(test)`: lints treat the modules as
//! test code.
#![forbid(unsafe_code)]

#[cfg(test)]
mod access;
#[cfg(test)]
mod calls;
#[cfg(test)]
mod cancel_order;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod confirm_and_ship;
#[cfg(test)]
mod conflicts;
#[cfg(test)]
mod expiry;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod get_order;
#[cfg(test)]
mod list_orders;
#[cfg(test)]
mod overload;
#[cfg(test)]
mod place_order;
#[cfg(test)]
mod process;
#[cfg(test)]
mod races;
#[cfg(test)]
mod refused_orders;
#[cfg(test)]
mod request_ids;
#[cfg(test)]
mod rows;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod upgrade;
#[cfg(test)]
mod user_created;
#[cfg(test)]
mod user_deleted;
#[cfg(test)]
mod user_view;
#[cfg(test)]
mod watch_order;
