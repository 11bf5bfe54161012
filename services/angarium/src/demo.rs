//! `angarium demo`: a story told by real gRPC calls to real services, with the time that each step took.
//!
//! It starts the system as `serve` does, in a folder and on ports of its own, so that it can run beside it. Whatever is
//! missing ends it with an error that says what.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::Context as _;
use runtime::Shutdown;
use runtime::run::answer;

use crate::args::Config;
use crate::serve::stores;
use crate::system::System;

mod mailbox;
mod story;

use mailbox::Mailbox;
pub use mailbox::code_in;
use story::Story;

/// Plays the story, prints it, and stops what it started.
///
/// # Errors
/// Where a service cannot start, a call fails, or an effect does not come in time.
pub async fn demo(mut config: Config, shutdown: Shutdown) -> anyhow::Result<()> {
    config.data_dir = config.data_dir.join("demo");
    let mails = config.data_dir.join("mails");
    config.own.mail = config.own.mail.in_folder(&mails);
    config.grpc = config
        .grpc
        .with_listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)));

    let begun = Instant::now();
    let building = System::build(&config);
    let building = shutdown.soft.run_until_cancelled(building).await;
    let system = building.context("the demo was interrupted")??;
    let addresses = system.addresses();
    let took = begun.elapsed().as_millis();
    answer(&format!(
        "Angarium on {}, started in {took} ms\n",
        stores(&config),
    ))?;

    let telling = async {
        let told = Story::connect(&addresses, Mailbox::in_folder(&mails))?
            .tell(|step| {
                // The story goes on, also without readers.
                let _ = answer(&step.to_string());
            })
            .await;
        shutdown.trigger();
        told
    };
    let (told, ran) = tokio::join!(telling, system.run(shutdown.clone()));
    told?;
    ran?;
    answer(&format!(
        "\nEvery step of it was seen from outside. {}",
        config.own.mail
    ))
}
