//! `angarium demo`: a scenario of real gRPC calls to real services, with the duration of each step.
//!
//! It starts the system as `serve` does, but with its own folder and ports. A missing effect is an error.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use anyhow::Context as _;
use runtime::Shutdown;
use runtime::run::answer;

use crate::args::Config;
use crate::serve::stores;
use crate::system::System;

mod mailbox;
mod step;
mod story;

use mailbox::Mailbox;
pub use mailbox::code_in;
use story::Story;

/// # Errors
/// If a service cannot start, a call fails, or an effect does not happen in time.
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

    let scenario = async {
        let played = Story::connect(&addresses, Mailbox::in_folder(&mails))?
            .run(|step| {
                // The scenario continues without a reader.
                let _ = answer(&step.to_string());
            })
            .await;
        shutdown.trigger();
        played
    };
    let (played, ran) = tokio::join!(scenario, system.run(shutdown.clone()));
    played?;
    ran?;
    answer(&format!(
        "\nAll steps were observed from outside. {}",
        config.own.mail
    ))
}
